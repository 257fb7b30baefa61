"""The deadlines of many calls with one timer: it is set for the earliest and moved when that one goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Deadlines"]


class Deadlines:
    """Calls `expire(key)` at each key's time, unless it was removed before.

    Most calls end long before their deadline, so adding and removing touch a dictionary only; the timer
    looks through it when it fires, and is then set anew.
    """

    __slots__ = ("_expire", "_loop", "_timer", "_times")

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[int], None]) -> None:
        self._loop = loop
        self._expire = expire
        self._times: dict[int, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        return bool(self._times)

    def add(self, key: int, when: float) -> None:
        """Watch `key` until `when`, a time of the loop."""
        self._times[key] = when
        if self._timer is None or when < self._timer.when():
            self._set_timer(when)

    def remove(self, key: int) -> None:
        """Forget `key`; the timer may still fire once, for nothing."""
        self._times.pop(key, None)

    def close(self) -> None:
        """Forget everything."""
        self._times.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for key in [key for key, when in self._times.items() if when <= now]:
            del self._times[key]
            self._expire(key)
        if self._times and self._timer is None:
            self._set_timer(min(self._times.values()))
