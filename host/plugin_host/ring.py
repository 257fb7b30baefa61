"""The newest entries of something that never ends, within bounds of number and memory.

Pure. Invariant: the entries are never more than `count`, nor take more than `size` bytes, but for one that
is bigger by itself: it is kept alone.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Ring"]

_T = TypeVar("_T")


class Ring(Generic[_T]):
    """Holds at most `count` entries and `size` bytes; iterates over them, the oldest first."""

    __slots__ = ("_count", "_entries", "_held", "_size")

    def __init__(self, count: int, size: int) -> None:
        self._count = count
        self._size = size
        self._entries: deque[tuple[_T, int]] = deque()
        self._held = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[_T]:
        return (entry for entry, _ in self._entries)

    def push(self, entry: _T, weight: int) -> int:
        """Add an entry that takes `weight` bytes; how many of the oldest had to go for it."""
        self._entries.append((entry, weight))
        self._held += weight
        lost = 0
        while len(self._entries) > self._count or (self._held > self._size and len(self._entries) > 1):
            self.pop()
            lost += 1
        return lost

    def pop(self) -> _T:
        """Take the oldest. Raises IndexError when there is none."""
        entry, weight = self._entries.popleft()
        self._held -= weight
        return entry

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self._held = 0
