"""One look at the machine's processes for all who need one at about the same time.

A look takes longer the more processes there are. If each of many sessions that end together took its own,
the time for all would grow with the square of their number. Invariant: beyond a few in quick succession,
looks take at most a fifth of the time; who may wait is asked to, and who may not gets the last table.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from .processtable import ProcessTable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOOKOUT", "Lookout"]

# How old a table may always be.
_RECENT_S = 0.05
# So many times as long as a look took none is taken; how long at most, and how much of it may be owed.
_RESTS = 4
_LONGEST_REST_S = 0.25
_OWED_S = 0.05


class Lookout:
    """The last table, and when the next may be read. For any thread; all raise OSError as `read` does."""

    def __init__(
        self,
        read: Callable[[], ProcessTable] = ProcessTable.read,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._table: ProcessTable | None = None
        self._began = 0.0
        self._rested = 0.0  # when there has been rest enough for the looks so far

    def recent(self, since: float) -> ProcessTable:
        """A table of about now, that was begun at `since` (monotonic) or later."""
        with self._lock:
            now = self._clock()
            if self._table is None or self._began < since:
                return self._look(now)
            if self._began < now - _RECENT_S and self._may_look(now):
                return self._look(now)
            return self._table

    def after(self, moment: float) -> ProcessTable | None:
        """A table that was begun at `moment` or later; None while it is too soon to look again."""
        with self._lock:
            now = self._clock()
            if self._table is not None and self._began >= moment:
                return self._table
            return self._look(now) if self._may_look(now) else None

    def _may_look(self, now: float) -> bool:
        return self._rested - now <= _OWED_S

    def _look(self, now: float) -> ProcessTable:
        self._table = None  # not kept beside the next
        self._table = self._read()
        self._began = now
        took = self._clock() - now
        self._rested = max(self._rested, now) + took + min(took * _RESTS, _LONGEST_REST_S)
        return self._table


LOOKOUT = Lookout()
"""That of this process."""
