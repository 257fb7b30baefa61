"""A shell of a guest as a session stands on it: outputs, viewers, input, size and end of the one shell.

Between `Session`, which speaks of streams by number, and the websocket, which has three. Invariants: every
viewer has its own place and credit; after the end nobody waits any more.
"""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.errors import (
    CallError,
    CallFailed,
    InternalError,
    RemoteProtocolError,
    SessionClosed,
    SessionNotFound,
    TerminalError,
)
from plugin_host.exec.carrier import SessionCarrier
from plugin_host.exec.session import Session
from plugin_host_sdk.protocol import LARGEST_SIZE, REPLAY_BYTES
from plugin_host_sdk.types.session import Attached, Created, Exit, SessionInfo

from .shellframe import STDERR, STDOUT, WINDOW_BYTES
from .shelllink import ShellLink
from .shelloutput import ShellOutput
from .shellstream import ShellStreams

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host_sdk.types.session import AttachedStream, AttachOptions, SessionOptions

    from .times import GuestTimes

__all__ = ["ShellCarrier"]

_NAMES = {STDOUT: "stdout", STDERR: "stderr"}
_END_OF_FILE = b"\x04"


class ShellCarrier(SessionCarrier):
    """One shell and `session`, which is given out for it. `link` is its connection.

    `forget()` is called when it is gone for good.
    """

    plugin = ""

    def __init__(self, options: SessionOptions, times: GuestTimes, forget: Callable[[], object]) -> None:
        self.link = ShellLink(times, self)
        self._forget = forget
        self._tty = options.tty
        self._began = asyncio.get_running_loop().time()
        self._viewers: dict[int, tuple[int, ...]] = {}
        self._numbers = count(1)
        self._owes_end = False  # of a terminal's input: typed when there is credit
        self._lost = ""
        self._is_closed = False
        kept = max(REPLAY_BYTES if options.replay_bytes is None else options.replay_bytes, WINDOW_BYTES)
        self._outputs = {
            stream: ShellOutput(kept, self._uses(stream), waits=not options.detached)
            for stream in ((STDOUT,) if self._tty else (STDOUT, STDERR))
        }
        self._streams = ShellStreams(self.link, self._outputs.values())
        self._info = SessionInfo(
            id=options.id,
            handler="shell",
            command=options.command,
            tty=self._tty,
            rows=options.rows if self._tty else None,
            cols=options.cols if self._tty else None,
            labels=options.labels,
            created_at=time.time(),
        )
        self.session = Session(self, self._info)
        self.session.open_input(self._streams.reserve())
        self.session.opened(Created(session=self._info, stdin_window=WINDOW_BYTES))
        if self._tty:
            self.link.resize(options.rows, options.cols)

    def __repr__(self) -> str:
        return f"<ShellCarrier {self.session!r}>"

    def _uses(self, stream: int) -> Any:
        return lambda size: self.link.consume(stream, size)

    # What the guest says.

    def arrived(self, stream: int, data: bytes) -> None:
        output = self._outputs.get(stream)
        if output is None:
            raise RemoteProtocolError("the shell is on a terminal, which has no stderr")
        output.put(data)

    def ended(self, stream: int) -> None:
        if (output := self._outputs.get(stream)) is not None:
            output.finish()

    def credited(self) -> None:
        if self._owes_end and self.link.state.credit:
            self._owes_end = False
            self.link.send(_END_OF_FILE)
        self._streams.credited()

    def exited(self, code: int) -> None:
        duration = asyncio.get_running_loop().time() - self._began
        reason = "the guest reports success" if code == 0 else "the guest reports failure"
        self._end(Exit(code=code, reason=reason, duration=duration))

    def lost(self, reason: str) -> None:
        self._forget()
        if self._is_closed:
            for output in self._outputs.values():
                output.finish()
            self._end(Exit(reason="it was closed"))
            return
        self._lost = reason
        self.session.lose()

    def _end(self, exit: Exit) -> None:
        self._info = msgspec.structs.replace(self._info, state="ended", exit=exit)
        totals = {_NAMES[stream]: output.total or 0 for stream, output in self._outputs.items()}
        self.session.note_exit(exit, totals)

    # What the session asks.

    @property
    def streams(self) -> ShellStreams:
        """Its streams."""
        return self._streams

    @property
    def is_over(self) -> bool:
        """Whether the guest is gone."""
        return bool(self._lost)

    def next_viewer(self) -> int:
        """A number for another viewer."""
        return next(self._numbers)

    def check(self, session: str = "") -> None:
        """Raise InternalError when the guest is gone: that is no failure of the shell."""
        if self._lost:
            raise InternalError(f"shell {self._info.id} was lost: {self._lost}")

    def failure(self, error: Any) -> CallError:
        """The exception for an error map with which a stream ended; a guest sends none."""
        return CallError.from_map(error)

    def drop(self, session: Session) -> None:
        """It is gone for good: nothing is kept of it here."""
        self._viewers.clear()
        self._forget()

    async def get(self, session: str) -> SessionInfo:
        self._check_kept()
        stored = {_NAMES[stream]: output.stored for stream, output in self._outputs.items()}
        outputs = self._outputs.values()
        looking = [
            any(one.is_followed(n) for one in outputs for n in streams)
            for streams in self._viewers.values()
        ]
        return msgspec.structs.replace(self._info, viewers=sum(looking), output=stored)

    async def attach(self, session: str, options: AttachOptions) -> Attached:
        self._check_kept()
        stdout = self._follow(STDOUT, options.stdout, options)
        stderr = None if options.stderr is None else self._follow(STDERR, options.stderr, options)
        numbers = (options.stdout,) if options.stderr is None else (options.stdout, options.stderr)
        self._viewers[options.viewer] = numbers
        return Attached(session=self._info, stdout=stdout, stderr=stderr)

    def _follow(self, stream: int, number: int, options: AttachOptions) -> AttachedStream:
        offset = options.offset
        if isinstance(offset, dict):
            offset = offset.get(_NAMES[stream])
        elif stream == STDERR and offset is not None and offset >= 0:
            offset = None
        window, receiver = self._streams.expected(number)
        try:
            return self._outputs[stream].follow(
                number, receiver, window, offset, is_lossless=options.lossless
            )
        except ValueError as error:
            text = f"{_NAMES[stream]} of session {self._info.id}: {error}"
            raise CallFailed(text, name="rpc.invalid_params") from None

    async def detach(self, session: str, viewer: int) -> None:
        for number in self._viewers.pop(viewer, ()):
            self._streams.stop(number)

    async def resize(self, session: str, rows: int, cols: int) -> None:
        if not (1 <= rows <= LARGEST_SIZE and 1 <= cols <= LARGEST_SIZE):
            text = f"a terminal has 1 to {LARGEST_SIZE} rows and columns, not {rows} by {cols}"
            raise CallFailed(text, name="rpc.invalid_params")
        self._check_runs()
        if not self._tty:
            raise TerminalError("it has no terminal", session=session)
        self._info = msgspec.structs.replace(self._info, rows=rows, cols=cols)
        self.link.resize(rows, cols)

    async def signal(self, session: str, signal: str) -> None:
        self._check_runs()
        raise TerminalError("a guest's shell takes no signals; `close` ends it", session=session)

    async def close_stdin(self, session: str, total: int) -> None:
        self._check_runs()
        if not self._tty:
            self.link.end_input()
        elif self.link.state.credit:
            self.link.send(_END_OF_FILE)
        else:
            self._owes_end = True

    async def join_input(self, session: str, stdin: int) -> int:
        raise SessionClosed("it was opened by another, who holds its input", session=session)

    async def close(self, session: str) -> None:
        self._check_kept()
        self._is_closed = True
        await self.link.abort()

    def _check_kept(self) -> None:
        if self._is_closed:
            raise SessionNotFound("it was closed", session=self._info.id)
        self.check()

    def _check_runs(self) -> None:
        self._check_kept()
        if self._info.exit is not None:
            raise SessionClosed(f"it has ended: {self._info.exit.reason}", session=self._info.id)
