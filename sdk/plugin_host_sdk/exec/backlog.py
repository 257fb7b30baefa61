"""What one stream of one viewer has not been sent yet: bytes, and gaps where bytes are missing.

Owns their order and the limit; knows nothing of credit or frames. Invariant: what is taken and the gaps
account for every byte that was pushed, in order. Not thread-safe: the session's lock guards it.
"""

from __future__ import annotations

from collections import deque

from .block import BlockQueue

__all__ = ["Backlog"]


class Backlog:
    """Holds at most `limit` bytes: the oldest beyond it become a gap. With None nothing is ever lost."""

    __slots__ = ("_gaps", "_limit", "_position", "_queue")

    def __init__(self, limit: int | None) -> None:
        self._limit = None if limit is None else max(0, limit)
        self._queue = BlockQueue()
        self._position = 0  # of the oldest waiting byte; only bytes count, not gaps
        self._gaps: deque[tuple[int, int]] = deque()  # the position of the byte behind it, its size

    @property
    def size(self) -> int:
        """Bytes that wait; gaps are not counted."""
        return self._queue.size

    def __bool__(self) -> bool:
        """Whether anything waits, bytes or a gap."""
        return self._queue.size > 0 or bool(self._gaps)

    def __repr__(self) -> str:
        return f"Backlog(size={self.size}, gaps={[size for _, size in self._gaps]}, limit={self._limit})"

    def push(self, data: bytes | memoryview) -> None:
        """Add the newest bytes; they are kept by reference and must not change."""
        limit = self._limit
        if limit is None:
            self._queue.push(data)
            return
        excess = self._queue.size + len(data) - limit
        if excess > 0:
            from_queue = min(excess, self._queue.size)
            self._queue.drop(from_queue)
            self._lose(from_queue, excess)
            if excess > from_queue:
                data = memoryview(data)[excess - from_queue :]
        self._queue.push(data)

    def push_gap(self, size: int) -> None:
        """Say that `size` bytes are missing behind what waits now."""
        if size <= 0:
            return
        end = self._position + self._queue.size
        if self._gaps and self._gaps[-1][0] == end:
            size += self._gaps.pop()[1]
        self._gaps.append((end, size))

    def take(self, most: int) -> bytes | memoryview | int | None:
        """The next piece, of at most `most` bytes, or the next gap, which needs none, as its size.

        None when nothing waits, and when bytes do but `most` is 0.
        """
        if self._gaps:
            until_gap = self._gaps[0][0] - self._position
            if until_gap == 0:
                return self._gaps.popleft()[1]
            most = min(most, until_gap)
        piece = self._queue.take(most)
        self._position += len(piece)
        return piece or None

    def clear(self) -> None:
        """Forget what waits, without a gap."""
        self._queue.clear()
        self._gaps.clear()

    def _lose(self, held: int, size: int) -> None:
        """The oldest `held` bytes are gone, and new ones: `size` altogether. Gaps that meet become one."""
        self._position += held
        while self._gaps and self._gaps[0][0] <= self._position:
            size += self._gaps.popleft()[1]
        self._gaps.appendleft((self._position, size))
