"""Looking at a session: its output in order, with its offsets, as fast as it is taken.

What arrives waits here until it is iterated over, and only then is the plugin given credit for more; so a
viewer that stops holds a window and no more. Invariant: the iteration ends when the last byte that both
sides have counted was given out, or raises why it cannot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from plugin_host.errors import CallFailed, PluginHostError, RemoteProtocolError, ViewerReadOnly
from plugin_host_sdk.types.session import StreamTarget

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from plugin_host_sdk.types.session import Attached, AttachedStream

__all__ = ["Gap", "Output", "StreamTarget", "Viewed", "Viewer"]

# With so many pieces that wait, those that follow each other become one: a gap costs no credit, and a byte
# by itself many times its size. The order between the two outputs gives way to that.
_MANY = 1024
_LARGEST_PIECE = 64 * 1024


class Viewed(Protocol):
    """A session as its viewers need it."""

    id: str

    def check_plugin(self) -> None:
        """Raise why the plugin cannot be asked any more, if so."""

    def failure(self, error: Any) -> PluginHostError:
        """The exception for an error map with which a stream ended."""

    def consume(self, stream: int, size: int) -> None:
        """A viewer has used so many bytes."""

    def stop(self, stream: int) -> None:
        """A viewer wants no more of one of its outputs."""

    async def totals(self) -> Mapping[str, int]:
        """How many bytes each output had in all, once it has ended."""

    async def write_as(self, viewer: Viewer, data: bytes | bytearray | memoryview) -> None:
        """A viewer types."""

    async def resize_as(self, viewer: Viewer, rows: int, cols: int) -> None:
        """A viewer has another size."""

    async def detach_viewer(self, viewer: Viewer) -> None:
        """A viewer goes."""


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes at their offset in `stream`, a `StreamTarget`: "stdout", also of a terminal, or "stderr"."""

    stream: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """`size` bytes of `stream`, a `StreamTarget`, at `offset` that this viewer does not get."""

    stream: str
    offset: int
    size: int


class Viewer:
    """Iterate over it for `Output` and `Gap`; made by `Session.attach`.

    As an async context manager it detaches at the end. `start` and `evicted` say, by stream, where the
    copy begins and how many of the bytes asked for are kept no longer.
    """

    def __init__(self, session: Viewed, number: int, *, read_only: bool) -> None:
        self.session = session
        self.number = number
        self.read_only = read_only
        self.attached: Attached | None = None  # the plugin's answer
        self.start: dict[str, int] = {}
        self.evicted: dict[str, int] = {}
        self._names: dict[int, StreamTarget] = {}  # of the streams that have not ended
        self._bases: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._waiting: deque[tuple[int, StreamTarget, int, bytes | bytearray | int]] = deque()
        self._taken = (0, 0)  # the stream and size of what was given out last
        self._wake: asyncio.Future[None] | None = None
        self._is_detached = False
        self._has_dropped = False  # what had come and was not given out
        self._error: PluginHostError | None = None  # why the plugin ended a stream early

    def __repr__(self) -> str:
        return f"<Viewer {self.number} of session {self.session.id} waiting={len(self._waiting)}>"

    # Joining; by the session.

    def name(self, stream: int, name: str) -> None:
        """One of its streams, before the plugin is asked."""
        self._names[stream] = StreamTarget(name)

    def joined(self, attached: Attached) -> None:
        """The plugin has answered. Raises CallFailed for an output without a place."""
        self.attached = attached
        for name, place in zip(StreamTarget, (attached.stdout, attached.stderr), strict=True):
            if place is not None:
                self._join(name, place)
        if missing := sorted(set(self._names.values()) - self._bases.keys()):
            raise CallFailed(
                f"a viewer of session {self.session.id} was given no place in {missing[0]}",
                name="rpc.foreign",
            )

    def _join(self, name: StreamTarget, place: AttachedStream) -> None:
        self._bases[name] = place.base
        self.start[name] = place.start
        self.evicted[name] = place.evicted

    @property
    def streams(self) -> list[int]:
        """Those that have not ended."""
        return list(self._names)

    @property
    def has_all(self) -> bool:
        """Whether every output was given out up to its end."""
        is_dry = not self._waiting and not self._has_dropped
        return is_dry and bool(self._ends) and self._ends.keys() == self._bases.keys()

    # What arrives; offsets of a stream begin at 0.

    def received(self, stream: int, offset: int, data: bytes) -> None:
        self._put(stream, offset, data)

    def skipped(self, stream: int, offset: int, size: int) -> None:
        self._put(stream, offset, size)

    def _put(self, stream: int, offset: int, what: bytes | int) -> None:
        if len(self._waiting) < _MANY or not self._join_last(stream, what):
            self._waiting.append((stream, self._names[stream], offset, what))
        self.wake()

    def _join_last(self, stream: int, what: bytes | int) -> bool:
        """Whether it could be added to the last piece of its stream, which is one of the last two."""
        place = next((place for place in (-1, -2) if self._waiting[place][0] == stream), None)
        if place is None:
            return False
        _, name, offset, last = self._waiting[place]
        if isinstance(last, int) or isinstance(what, int):
            if not isinstance(last, int) or not isinstance(what, int):
                return False
            self._waiting[place] = stream, name, offset, last + what
            return True
        if len(last) + len(what) > _LARGEST_PIECE:
            return False
        if isinstance(last, bytes):
            last = bytearray(last)
            self._waiting[place] = stream, name, offset, last
        last += what
        return True

    def ended(self, stream: int, total: int, error: Any) -> None:
        name = self._names.pop(stream)
        if error is None:
            self._ends[name] = total
        elif isinstance(error, dict) and error.get("name") == "detached":
            self._is_detached = True
        else:
            self._error = self.session.failure(error)
        self.wake()

    def wake(self) -> None:
        """Something has changed for who iterates."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # Reading.

    def __aiter__(self) -> Viewer:
        return self

    async def __anext__(self) -> Output | Gap:
        self._give_back()
        while not self._waiting:
            if not self._names or self._error is not None:
                await self._check_end()
                raise StopAsyncIteration
            self.session.check_plugin()
            if self._wake is not None:
                raise RuntimeError(f"{self!r} is iterated over by two tasks; attach one viewer for each")
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None
        stream, name, offset, what = self._waiting.popleft()
        offset += self._bases[name]
        if isinstance(what, int):
            return Gap(name, offset, what)
        self._taken = (stream, len(what))
        return Output(name, offset, bytes(what))

    def _give_back(self) -> None:
        """Who asks for more has used what it got."""
        stream, size = self._taken
        if size:
            self._taken = (0, 0)
            self.session.consume(stream, size)

    async def _check_end(self) -> None:
        """Both sides must have counted the same bytes."""
        if self._error is not None:
            raise self._error
        if self._is_detached:
            return
        totals = await self.session.totals()
        for name, end in self._ends.items():
            total = totals.get(name, 0)
            if self._bases[name] + end != total:
                raise RemoteProtocolError(
                    f"session {self.session.id}: {name} ended at {self._bases[name] + end} here and at "
                    f"{total} in the plugin: output was lost"
                )

    # Acting.

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Type into the session; its size becomes this viewer's.

        Raises ViewerReadOnly, SessionClosed, SessionNotFound.
        """
        self._check_writes()
        await self.session.write_as(self, data)

    async def resize(self, *, rows: int, cols: int) -> None:
        """This viewer has another size.

        Raises ViewerReadOnly, SessionClosed, SessionNotFound, TerminalError.
        """
        self._check_writes()
        await self.session.resize_as(self, rows, cols)

    def _check_writes(self) -> None:
        if self.read_only:
            raise ViewerReadOnly(
                f"viewer {self.number} of session {self.session.id} only reads: "
                "attach with read_only=False to write"
            )

    async def detach(self) -> None:
        """Look no longer; the session runs on. What has arrived can still be read. Idempotent."""
        if not self._is_detached:
            self._is_detached = True
            try:
                await self.session.detach_viewer(self)
            finally:
                self._names.clear()
        self.wake()

    async def __aenter__(self) -> Viewer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_dropped = bool(self._waiting)
        self._waiting.clear()
        await self.detach()
