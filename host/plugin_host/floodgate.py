"""Stands between what a plugin says and the log: lets through what is bearable and tells of the rest.

Owns when a flood is told of: soon after its beginning, again while it lasts, and once more after it.
Invariant: there is a timer only while something was dropped that nobody was told of.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .flood import Flood

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["REPORT_S", "Floodgate"]

REPORT_S = 2.0
_ORDINARY = 20  # the level at which lines of stderr are logged


class Floodgate:
    """The gate of one plugin, for its log records and the lines of its stderr alike.

    `say` gets a sentence about what was dropped, and logs it past the gate. Used from the loop's thread.
    """

    def __init__(self, say: Callable[[str], None], flood: Flood | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._flood = flood or Flood(self._loop.time())
        self._say = say
        self._timer: asyncio.TimerHandle | None = None

    @property
    def dropped(self) -> int:
        """Everything that was dropped so far."""
        return self._flood.total

    def admit(self, level: int = _ORDINARY) -> bool:
        """Whether a record of this level of `logging` may be logged; else it is counted."""
        if self._flood.admit(self._loop.time(), level):
            return True
        self._watch()
        return False

    def room(self) -> int:
        """How many ordinary ones would be admitted now."""
        return self._flood.room(self._loop.time())

    def drop(self, count: int) -> None:
        """So many lines went by without a look at each."""
        self._flood.drop(self._loop.time(), count)
        self._watch()

    def flush(self) -> None:
        """Tell now of what was dropped and not told: the plugin has ended. The gate stays of use."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if text := self._flood.report(self._loop.time()):
            self._say(text)

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(REPORT_S, self.flush)
