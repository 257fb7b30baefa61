"""Streams of what happens, of which one that is read slowly loses the oldest and is told how many.

Whoever puts something in never waits. Used from the loop's thread. Invariant: what waits to be read is
within the bounds of its ring; nothing is lost without being counted.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from .ring import Ring

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["KEPT", "KEPT_BYTES", "Subscription"]

KEPT = 10_000
"""Entries that wait to be read."""

KEPT_BYTES = 16 << 20
"""What they take together; streams of the same things share them."""

_T = TypeVar("_T")


class Subscription(Generic[_T]):
    """An async iterator. `lost(count, next)` makes the entry that says how many are missing before `next`;
    `forget` is called once, when nothing more is to be put in."""

    def __init__(
        self,
        lost: Callable[[int, _T], _T],
        forget: Callable[[], None],
        *,
        count: int = KEPT,
        size: int = KEPT_BYTES,
    ) -> None:
        self._say_lost = lost
        self._forget: Callable[[], None] | None = forget
        self._waiting: Ring[_T] = Ring(count, size)
        self._lost = 0
        self._wake = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[_T]:
        return self

    async def __anext__(self) -> _T:
        while not self._waiting:
            if self._forget is None:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self.take()

    @property
    def has_more(self) -> bool:
        """Whether the next entry is there already."""
        return len(self._waiting) > 0

    def take(self) -> _T:
        """The next entry, which is there already. Raises IndexError when none is."""
        if not self._lost:
            return self._waiting.pop()
        count, self._lost = self._lost, 0
        return self._say_lost(count, next(iter(self._waiting)))

    def push(self, entry: _T, weight: int) -> None:
        """One more, that takes `weight` bytes."""
        self._lost += self._waiting.push(entry, weight)
        self._wake.set()

    def close(self) -> None:
        """No more comes; what waits can still be read."""
        forget, self._forget = self._forget, None
        if forget is not None:
            forget()
        self._wake.set()
