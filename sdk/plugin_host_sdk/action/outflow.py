"""One output of an action on its way to the host: in order, within the reader's credit.

What the credit does not allow waits here, and its writer with it, so no more waits than one piece of each
writer. Invariant: the end is sent once, behind everything that was written, and nothing comes after it;
what is dropped at last is a gap, never silence.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from plugin_host_sdk.excerpt import excerpt
from plugin_host_sdk.later import Later

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host_sdk.sink import Sink

__all__ = ["Outflow"]


class Outflow:
    """Stream `number`, whose reader takes `credit` bytes for now. Used from any thread."""

    def __init__(self, sink: Sink, number: int, credit: int) -> None:
        self.number = number
        self.total = 0  # as the end of the stream says it, once that was sent
        self._sink = sink
        self._lock = threading.Lock()
        self._credit = credit
        self._waiting: deque[memoryview] = deque()
        self._written = self._sent = 0
        self._writers: deque[tuple[int, Later]] = deque()
        self._is_stopped = False  # by its reader
        self._is_cut = False  # by this side: a gap stands for what comes
        self._finished: Callable[[], None] | None = None
        self._has_ended = False

    def __repr__(self) -> str:
        return f"<Outflow {self.number} sent={self._sent} of {self._written}>"

    def write(self, data: bytes | bytearray | memoryview) -> Later | None:
        """Send all of `data`; None when it is on its way, else what is settled once it is.

        Once nobody wants it any more it is dropped.
        """
        given: object = data
        if isinstance(given, str):
            raise TypeError(f"output of an action is bytes, not the text {excerpt(given)}: encode it")
        with self._lock:
            if self._is_stopped or self._finished is not None or not data:
                return None
            if self._is_cut:
                self._skip(len(memoryview(data).cast("B")))
                return None
            piece = memoryview(bytes(data))  # a buffer may change under the wait; bytes are not copied
            self._waiting.append(piece)
            self._written += len(piece)
            self._advance()
            later = None
            if self._waiting:
                later = Later()
                self._writers.append((self._written, later))
        self._sink.flush()
        return later

    def finish(self, finished: Callable[[], None]) -> None:
        """Send the end behind what waits, then call `finished`; it may be called on the reading thread."""
        with self._lock:
            self._finished = finished
        self._settle()

    def give_up(self) -> None:
        """What waits now is left out, and so is what is written from now on."""
        with self._lock:
            left = sum(map(len, self._waiting))
            self._waiting.clear()
            self._is_cut = True
            self._sent = self._written
            if left:
                self._skip(left)
        self._settle()

    # The sink's calls.

    def credited(self, size: int) -> None:
        with self._lock:
            self._credit += size
            self._advance()
        self._settle()

    def stopped(self) -> None:
        with self._lock:
            self._waiting.clear()
            self._is_stopped = True
            self._sent = self._written
        self._settle()

    def _skip(self, size: int) -> None:
        """With the lock held."""
        if not self._has_ended and not self._is_stopped:
            self._sink.gap(self.number, size)

    def _advance(self) -> None:
        """Send what the credit allows; with the lock held."""
        waiting, sink = self._waiting, self._sink
        while waiting and self._credit:
            piece = waiting[0]
            size = min(len(piece), self._credit, sink.frame_bytes)
            sink.send(self.number, piece[:size])
            self._credit -= size
            self._sent += size
            if size == len(piece):
                waiting.popleft()
            else:
                waiting[0] = piece[size:]

    def _settle(self) -> None:
        """Tell those whose bytes are on their way, without the lock."""
        told, finished = [], None
        with self._lock:
            while self._writers and self._writers[0][0] <= self._sent:
                told.append(self._writers.popleft()[1])
            if self._finished is not None and not self._waiting and not self._has_ended:
                self._has_ended = True
                finished = self._finished
                self.total = self._sink.end(self.number)
        for later in told:
            later.resolve()
        if finished is not None:
            finished()
