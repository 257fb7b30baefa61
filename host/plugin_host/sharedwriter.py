"""The write side of a link that several threads use.

Whoever has the mutex writes directly while there is room. What finds none is queued, and the loop, which
alone may watch descriptors and set timers, writes it in order.
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING

from .exclusion import exclusive
from .writer import Writer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from threading import RLock

    from .channel import Channel

__all__ = ["SharedWriter"]


class SharedWriter(Writer):
    """See `Writer`. Every method is called with the mutex held, or takes it."""

    __slots__ = ("_thread", "mutex")

    def __init__(
        self,
        channel: Channel,
        loop: asyncio.AbstractEventLoop,
        lost: Callable[[Exception | None], None],
        mutex: RLock,
    ) -> None:
        super().__init__(channel, loop, lost)
        self.mutex = mutex
        self._thread = get_ident()

    def _on_loop(self, function: Callable[[], None]) -> None:
        if get_ident() == self._thread:
            function()
        else:
            self._loop.call_soon_threadsafe(function)

    def _wait(self) -> None:
        self.is_waiting = True
        self._on_loop(self._watch)

    @exclusive
    def _watch(self) -> None:
        if self.is_waiting and self._channel.write_fd >= 0:
            self._loop.add_writer(self._channel.write_fd, self._write_more)

    def _expect_end(self) -> None:
        self._on_loop(super()._expect_end)

    def check(self) -> None:
        if self.is_full:
            self._on_loop(self._begin_to_look)

    @exclusive
    def _begin_to_look(self) -> None:
        super().check()

    _keep_looking = exclusive(Writer._keep_looking)
    _write_more = exclusive(Writer._write_more)
