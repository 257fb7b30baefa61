"""When a plugin that was started on demand has had nothing to do for long enough.

Owns one timer while it watches. Looks four times in the idle time, so a plugin is stopped at most a
quarter of it late; what happened in between is told by a count of uses, which costs a call one addition.
All of one idle time are looked at in one turn of the loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Idleness"]

_LOOKS = 4


class Idleness:
    """Calls `on_idle()` when `is_busy()` was false, and nothing was used, for `idle_s` seconds.

    Goes on looking, and calls it at each look for as long as that is so: what it is called for may come to
    nothing. `close` is the end.
    """

    def __init__(self, idle_s: float, is_busy: Callable[[], bool], on_idle: Callable[[], None]) -> None:
        self.uses = 0
        self._pause = idle_s / _LOOKS
        self._is_busy = is_busy
        self._on_idle = on_idle
        self._seen = -1
        self._quiet = 0
        self._due = 0.0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = self._look_later()

    @property
    def is_over(self) -> bool:
        """Whether the idle time has passed, and nothing was used since."""
        return self._quiet >= _LOOKS and self.uses == self._seen and not self._is_busy()

    def close(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._is_busy() or self.uses != self._seen:
            self._seen, self._quiet = self.uses, 0
        else:
            self._quiet += 1
        self._timer = self._look_later()
        if self._quiet >= _LOOKS:
            self._on_idle()

    def _look_later(self) -> asyncio.TimerHandle:
        """At the next multiple of the pause; the loop may have come a moment before the last one."""
        now = max(self._loop.time(), self._due)
        self._due = (now // self._pause + 1) * self._pause
        return self._loop.call_at(self._due, self._look)
