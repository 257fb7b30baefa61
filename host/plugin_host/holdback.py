"""Requests of a peer that are not begun yet, as too much waits for it already.

A peer may ask for more than it reads, and what it asked for is the host's to keep meanwhile. The link goes
on reading, so a peer that first asks and then reads is served; its requests wait here.

Invariants: requests are begun in the order in which they came; each is, once there is room, however long
others take: only those that are answered soon wait for one another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from .link import Link

__all__ = ["Begin", "Holdback"]

Begin: TypeAlias = Callable[[float], asyncio.Task[None] | None]
"""Begins a request that was held back for so many seconds. The task, if there is one already."""


# How many are begun before one of them has its answer, which may be as large as a message can be.
_AT_ONCE = 8
# After this long without one, they are of a kind that takes its time, and the next are begun.
_TURN_S = 1.0


class Holdback:
    """The requests of one link's peer. `on_free` is called when none waits any more."""

    def __init__(self, link: Link, on_free: Callable[[], None] = lambda: None) -> None:
        self._link = link
        self._on_free = on_free
        self._held: dict[int, tuple[float, Begin]] = {}  # with when it came
        self._letting_go: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._held)

    def begin(self, msgid: int, begin: Begin) -> None:
        """Begin a request, now or in its turn."""
        if not self._held and not self._link.is_full:
            begin(0.0)
            return
        loop = asyncio.get_running_loop()
        self._held[msgid] = loop.time(), begin
        if self._letting_go is None:
            self._letting_go = loop.create_task(
                self._let_go(), name="requests that wait until others' answers are read"
            )

    def drop(self, msgid: int) -> bool:
        """Forget a request; whether it was not begun."""
        return self._held.pop(msgid, None) is not None

    def close(self) -> None:
        """The link is over: begin nothing more."""
        self._held.clear()
        if self._letting_go is not None:
            self._letting_go.cancel()

    async def _let_go(self) -> None:
        loop, begun = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        try:
            while self._held:
                if (room := self._link.room()) is not None:
                    await room
                while self._held and len(begun) < _AT_ONCE and not self._link.is_full:
                    came, begin = self._held.pop(next(iter(self._held)))
                    task = begin(loop.time() - came)
                    if task is not None:
                        begun.add(task)
                if begun:
                    ended, begun = await asyncio.wait(
                        begun, timeout=_TURN_S, return_when=asyncio.FIRST_COMPLETED
                    )
                    if not ended:
                        begun = set()
            self._on_free()
        finally:
            self._letting_go = None
