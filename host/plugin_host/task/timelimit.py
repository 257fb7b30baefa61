"""The time that a task may run, and what is made of one that was killed for it.

Invariant: a task that was killed because its time was over is no success and says so; one that ended by
itself is what its worker says.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .state import Outcome

    class Killable(Protocol):
        """The task."""

        id: str

        async def kill(self) -> str: ...


__all__ = ["TimeLimit"]

_log = logging.getLogger(__name__)


class TimeLimit:
    """Kills `task` when it has run for `seconds`; None is no limit."""

    def __init__(self, task: Killable, seconds: float | None) -> None:
        self.seconds = seconds
        self._task = task
        self._timer: asyncio.TimerHandle | None = None
        self._kill: asyncio.Task[None] | None = None
        self._has_killed = False
        self._is_over = False

    def begin(self) -> None:
        """The time counts from now on, whatever has passed before; not once it was over."""
        self.pause()
        if self.seconds is not None and self._kill is None:
            self._timer = asyncio.get_running_loop().call_later(self.seconds, self._expire)

    def pause(self) -> None:
        """No time counts until it begins anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """It is over; what is judged now stays."""
        self._is_over = True
        self.pause()

    @property
    def has_killed(self) -> bool:
        """Whether its time was over, and that ended it."""
        return self._has_killed

    def judged(self, outcome: Outcome) -> tuple[bool, str]:
        """Whether it is a success, and the words."""
        if not self._has_killed:
            return outcome.success, outcome.reason
        words = f"it was killed when it had run for its timeout of {self.seconds:g} s"
        return False, f"{words}: {outcome.reason}" if outcome.reason else words

    def _expire(self) -> None:
        name = f"timeout of task {self._task.id}"
        self._kill = asyncio.get_running_loop().create_task(self._end(), name=name)

    async def _end(self) -> None:
        if self._is_over:
            return
        self._has_killed = True
        try:
            was_running = await self._task.kill() != "ended"
        except Exception as error:
            _log.warning("task %s cannot be killed when its time is over: %s", self._task.id, error)
            was_running = False
        if not self._is_over:
            self._has_killed = was_running
