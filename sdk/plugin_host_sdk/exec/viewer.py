"""Who looks at a session, and what each of them has still to be sent.

A viewer has one stream for each output of its session. What its credit does not allow waits in a backlog:
without a bound for a lossless viewer, whose session is not read meanwhile, and with one for the others,
who get a gap instead. Everything but the sink's two calls happens under the session's lock. Invariant: a
stream's end is sent once, and not before its backlog unless the viewer has given it up.
"""

from __future__ import annotations

from .backlog import Backlog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from plugin_host_sdk.sink import Sink

__all__ = ["Viewer", "ViewerStream"]


class ViewerStream:
    """One output of a session on its way to one viewer.

    `changed(stream, credit)` is called on the reading thread: the viewer takes so many bytes more, or,
    with None, nothing any more.
    """

    __slots__ = ("_changed", "_credit", "_is_ending", "_sink", "backlog", "is_over", "number")

    def __init__(
        self,
        sink: Sink,
        number: int,
        credit: int,
        limit: int | None,
        changed: Callable[[ViewerStream, int | None], None],
    ) -> None:
        self.number = number
        self.backlog = Backlog(limit)
        self.is_over = False
        self._sink = sink
        self._credit = credit
        self._changed = changed
        self._is_ending = False

    def __repr__(self) -> str:
        return f"<ViewerStream {self.number} backlog={self.backlog.size} credit={self._credit}>"

    # The sink's calls.

    def credited(self, size: int) -> None:
        self._changed(self, size)

    def stopped(self) -> None:
        self._changed(self, None)

    # The session's, under its lock.

    def feed(self, data: bytes | memoryview) -> None:
        """Output that was just read."""
        if not self.backlog and len(data) <= self._credit and len(data) <= self._sink.frame_bytes:
            self._credit -= len(data)
            self._sink.send(self.number, data)
        elif not self.is_over:
            self.backlog.push(data)
            self.advance()

    def takes_on(self, size: int) -> bool:
        """Add to the credit if nothing waits for it; whether that is all there is to do."""
        if self.backlog or self.is_over or self._is_ending:
            return False
        self._credit += size
        return True

    def add_credit(self, size: int) -> None:
        """The viewer takes more."""
        self._credit += size
        self.advance()

    def advance(self) -> None:
        """Send what the credit allows. A gap goes with the bytes behind it: until then it may grow."""
        backlog, sink = self.backlog, self._sink
        while backlog:
            if not self._credit and backlog.size:
                return
            piece = backlog.take(min(self._credit, sink.frame_bytes))
            if piece is None:
                return
            if type(piece) is int:
                sink.gap(self.number, piece)
            else:
                assert not isinstance(piece, int)
                self._credit -= len(piece)
                sink.send(self.number, piece)
        if self._is_ending:
            self.end()

    def finish(self) -> None:
        """The session has no more output: end behind the backlog."""
        self._is_ending = True
        if not self.backlog:
            self.end()

    def end(self, error: dict[str, Any] | None = None) -> None:
        """End now; what waits is dropped."""
        if not self.is_over:
            self.is_over = True
            self._credit = 0
            self.backlog.clear()
            self._sink.end(self.number, error)


class Viewer:
    """One viewer: its number, which is the caller's, and its streams by name."""

    __slots__ = ("is_lossless", "is_read_only", "number", "streams")

    def __init__(
        self, number: int, streams: dict[str, ViewerStream], *, is_lossless: bool, is_read_only: bool
    ) -> None:
        self.number = number
        self.streams = streams
        self.is_lossless = is_lossless
        self.is_read_only = is_read_only

    @property
    def is_over(self) -> bool:
        """Whether all its streams have ended."""
        return all(stream.is_over for stream in self.streams.values())

    def blocks(self, name: str) -> bool:
        """Whether output called `name` may not be read because of this viewer."""
        return self.is_lossless and bool((stream := self.streams.get(name)) and stream.backlog)
