"""What a session has put out, as far as it is kept: the ring, and what is held for the first viewer.

A session that was not opened detached keeps everything until its first viewer comes, and is read no faster
than the ring would hold it. The session's lock guards it. Invariant: offsets count all bytes of an output,
kept or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host_sdk.errors import CallFailed
from plugin_host_sdk.types.session import AttachedStream, Stored

from .backlog import Backlog
from .buffer import OutputBuffer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Record"]

_WHOLE = 1024 * 1024 * 1024  # more than any piece has


class Record:
    """The outputs called `names`; `capacity` is the ring's. `holds` everything for a first viewer."""

    def __init__(self, names: tuple[str, ...], capacity: int, *, holds: bool) -> None:
        self.names = names
        self.capacity = capacity
        self._ring = OutputBuffer(capacity)
        self._held = {name: Backlog(None) for name in names} if holds else None

    @property
    def awaits_viewer(self) -> bool:
        """Whether everything is held for a first viewer, who has not come."""
        return self._held is not None

    def append(self, name: str, data: bytes) -> None:
        """Output was read."""
        self._ring.append(name, data)
        if self._held is not None:
            self._held[name].push(data)

    def room(self) -> int | None:
        """How many more bytes may be held; None when nobody is waited for."""
        if self._held is None:
            return None
        return max(0, self.capacity - sum(backlog.size for backlog in self._held.values()))

    def stored(self, name: str) -> Stored:
        """Which bytes of an output are kept."""
        start = 0 if self._held is not None else self._ring.start_offset(name)
        return Stored(start, self._ring.end_offset(name))

    def totals(self) -> dict[str, int]:
        """How many bytes each output has had."""
        return {name: self._ring.end_offset(name) for name in self.names}

    def place(self, name: str, wanted: int | Mapping[str, int | None] | None) -> AttachedStream:
        """Where a viewer's copy of an output lies that asks for `wanted`; see `AttachOptions.offset`.

        Raises CallFailed for what is beyond the end, and for an output there is not.
        """
        if wanted is not None and not isinstance(wanted, int):
            if unknown := wanted.keys() - set(self.names):
                raise _invalid(f"the session has no output {sorted(unknown)[0]!r}")
            wanted = wanted.get(name)
        elif name == "stderr" and wanted != -1:
            wanted = None
        stored = self.stored(name)
        start, end = stored.start, stored.end
        if wanted is None:
            return AttachedStream(base=start, start=start, end=end, evicted=start)
        if wanted == -1:
            return AttachedStream(base=end, start=end, end=end)
        if wanted > end:
            raise _invalid(f"offset {wanted} is beyond the end of {name}, {end}")
        first = max(wanted, start)
        return AttachedStream(base=wanted, start=first, end=end, evicted=first - wanted)

    def pieces(self, name: str, start: int) -> Iterator[bytes | memoryview]:
        """What is kept of an output from `start` on. What was held is given out only once."""
        if self._held is None:
            yield from self._ring.snapshot(name, start)[1]
            return
        held = self._held[name]
        while start and held:
            start -= len(_bytes(held.take(start)))
        while held:
            yield _bytes(held.take(_WHOLE))

    def release(self) -> None:
        """The first viewer is there: hold nothing more."""
        self._held = None

    def drop(self) -> None:
        """Keep nothing; nobody can ask for it any more."""
        self._ring = OutputBuffer(0)
        self._held = None


def _bytes(piece: bytes | memoryview | int | None) -> bytes | memoryview:
    assert isinstance(piece, (bytes, memoryview))  # what is held has no gaps
    return piece


def _invalid(message: str) -> CallFailed:
    return CallFailed(message, name="rpc.invalid_params")
