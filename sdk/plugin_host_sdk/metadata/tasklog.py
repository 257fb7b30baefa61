"""The log of one task on its way to the host: lossless, in order, and no faster than the host takes it.

What the credit does not allow waits, and with it whoever wrote it; so nothing is stored here that its
writer does not hold anyway. Invariant: the stream's end comes once, behind everything that was written
before it, and `total` is what was sent.
"""

from __future__ import annotations

import threading
from collections import deque

from plugin_host_sdk.errors import CallError, CallFailed
from plugin_host_sdk.later import Later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from plugin_host_sdk.sink import Sink

__all__ = ["TaskLog"]

_DONE = Later()
_DONE.resolve()


class TaskLog:
    """An output stream of `sink`, whose reader takes `credit` bytes for now. Used from any thread."""

    def __init__(self, sink: Sink, stream: int, credit: int) -> None:
        self.total = 0
        self._sink = sink
        self._stream = stream
        self._credit = credit
        self._lock = threading.Lock()
        self._waiting: deque[tuple[memoryview, Later]] = deque()
        self._is_stopped = False  # nobody reads any more
        self._ending: Later | None = None
        self._failure: CallError | None = None
        sink.open_output(stream, credit, self)

    def __repr__(self) -> str:
        return f"<TaskLog total={self.total} waiting={len(self._waiting)}>"

    def put(self, data: bytes | bytearray | memoryview | str) -> Later:
        """Send bytes, or text as UTF-8; settled when all of them are on their way.

        Raises CallFailed once the log has ended.
        """
        piece = memoryview(data.encode() if isinstance(data, str) else bytes(data))
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._ending is not None:
                raise CallFailed("the task is concluded: its log has ended", name="rpc.invalid_params")
            if not self._waiting:
                piece = self._send(piece)
            if not piece or self._is_stopped:
                written = _DONE
            else:
                written = Later()
                self._waiting.append((piece, written))
        self._sink.flush()
        return written

    def end(self) -> Later:
        """No more comes; settled with the total when the end is on its way. May be asked again."""
        with self._lock:
            if self._ending is None:
                self._ending = Later()
            ending = self._ending
        self._end_if_due()
        return ending

    def lose(self, error: CallError) -> None:
        """The host is gone, or will be: whoever waits is told."""
        with self._lock:
            if self._failure is not None:
                return
            self._failure = error
            waiting = [later for _, later in self._waiting]
            self._waiting.clear()
            ending = self._ending
        for later in waiting:
            later.fail(error)
        if ending is not None:
            ending.fail(error)

    # The sink's calls, on the reading thread.

    def credited(self, size: int) -> None:
        with self._lock:
            self._credit += size
            written = self._advance()
        self._settle(written)

    def stopped(self) -> None:
        with self._lock:
            self._is_stopped = True
            written = [later for _, later in self._waiting]
            self._waiting.clear()
        self._settle(written)

    def _settle(self, written: list[Later]) -> None:
        for later in written:
            later.resolve()
        self._end_if_due()

    # Under the lock.

    def _advance(self) -> list[Later]:
        """Send what waits; those of whom all was sent."""
        written = []
        while self._waiting and self._credit:
            piece, later = self._waiting[0]
            piece = self._send(piece)
            if piece:
                self._waiting[0] = piece, later
            else:
                self._waiting.popleft()
                written.append(later)
        return written

    def _send(self, piece: memoryview) -> memoryview:
        """Send what the credit allows of it; the rest."""
        while piece and self._credit and not self._is_stopped:
            size = min(len(piece), self._credit, self._sink.frame_bytes)
            self._sink.send(self._stream, piece[:size])
            self._credit -= size
            self.total += size
            piece = piece[size:]
        return piece

    def _end_if_due(self) -> None:
        ending: Any = None
        with self._lock:
            if self._ending is not None and not self._waiting and not self._ending.is_settled:
                ending = self._ending
                self._sink.end(self._stream)
        if ending is not None:
            ending.resolve(self.total)
            self._sink.flush()
