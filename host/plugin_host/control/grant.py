"""What a client of raw descriptors was promised: whose streams, in which order, on what terms.

Pure. Invariant: a grant that was made can be kept: its streams are distinct, and its session has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plugin_host.errors import CallFailed, SessionClosed

if TYPE_CHECKING:
    from plugin_host.exec.session import Session

__all__ = ["STREAMS", "Grant", "check_streams"]

STREAMS = ("stdin", "stdout", "stderr", "stdio")
"""`stdio` is one descriptor for the input and for the terminal's output, or stdout."""

_MOST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """`uid` may redeem it. `offset` is as of `Session.attach`.

    `lossless` None leaves it to who looks already. `ends_input` says whether the end of what the client
    writes is the end of the session's input.
    """

    session: Session
    streams: tuple[str, ...]
    uid: int
    lossless: bool | None = None
    offset: int | Mapping[str, int | None] | None = None
    ends_input: bool = True

    @property
    def has_input(self) -> bool:
        """Whether the client may write."""
        return "stdin" in self.streams or "stdio" in self.streams

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs of the session that the client reads."""
        read = ("stdout" if name == "stdio" else name for name in self.streams)
        return tuple(name for name in read if name != "stdin")

    def wants_beginning(self, output: str) -> bool:
        """Whether the client said from which byte on it must have an output."""
        if isinstance(self.offset, int):
            return output == "stdout"
        return self.offset is not None and self.offset.get(output) is not None


def check_streams(streams: Sequence[str], session: Session) -> None:
    """Raise CallFailed for what this session does not have, SessionClosed for the input of an ended one."""
    problem = _problem(streams, tty=session.tty)
    if problem:
        raise CallFailed(f"host.open_io: {problem}", name="rpc.invalid_params")
    if session.exit is not None and {"stdin", "stdio"} & set(streams):
        raise SessionClosed(f"it has ended: {session.exit.reason}", session=session.id)


def _problem(streams: Sequence[str], *, tty: bool) -> str:
    if not 1 <= len(streams) <= _MOST:
        return f"1 to {_MOST} streams can be asked for, not {len(streams)}"
    unknown = [name for name in streams if name not in STREAMS]
    if unknown:
        return f"there is no stream {unknown[0][:40]!r}; there are {', '.join(STREAMS)}"
    if len(set(streams)) < len(streams):
        return f"each stream can be asked for once, not {', '.join(streams)}"
    if "stdio" in streams and {"stdin", "stdout"} & set(streams):
        return "stdio is stdin and stdout in one: ask for it or for them"
    if tty and "stderr" in streams:
        return "the session is a terminal, whose stderr is part of its stdout"
    return ""
