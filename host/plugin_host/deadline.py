"""The deadlines of many calls with one timer: it is set for the earliest and moved when that one goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Deadlines"]


class Deadlines:
    """Calls `expire(key)` at each key's time, unless the key was taken out of `times` before.

    Most calls end long before their deadline, so adding and removing touch a dictionary only; the timer
    looks through it when it fires, and is then set anew.
    """

    __slots__ = ("_expire", "_loop", "_timer", "_when", "times")

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[int], None]) -> None:
        self._loop = loop
        self._expire = expire
        self.times: dict[int, float] = {}
        self._timer: asyncio.Handle | None = None  # not every loop has a time at its handles
        self._when = 0.0

    def add(self, key: int, when: float) -> None:
        """Watch `key` until `when`, a time of the loop."""
        self.times[key] = when
        if self._timer is None or when < self._when:
            self._set_timer(when)

    def close(self) -> None:
        """Forget everything."""
        self.times.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._when = self._loop.call_at(when, self._fire), when

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for key in [key for key, when in self.times.items() if when <= now]:
            # One that expires may take others with it, when it ends what they all belong to.
            if self.times.pop(key, None) is not None:
                self._expire(key)
        if self.times and self._timer is None:
            self._set_timer(min(self.times.values()))
