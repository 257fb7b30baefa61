"""How late the host's loop comes round: by how much every other lateness is to be excused.

Told apart are a loop that the machine did not let run and one that was kept busy: the second is the
host's own doing.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

__all__ = ["Pulse"]

_BEAT_S = 0.02
_KEPT = 10_000


class Pulse:
    """Beats until cancelled. `worst_s` is the latest a beat ever was, `busiest_s` the most processor
    time that the loop's thread used between two beats."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self.busiest_s = 0.0
        self._beats: deque[tuple[float, float]] = deque(maxlen=_KEPT)  # when, how late
        self._due = 0.0

    async def beat(self) -> None:
        """Never returns."""
        loop = asyncio.get_running_loop()
        while True:
            self._due, used = loop.time() + _BEAT_S, time.thread_time()
            await asyncio.sleep(_BEAT_S)
            late = loop.time() - self._due
            self.worst_s = max(self.worst_s, late)
            self.busiest_s = max(self.busiest_s, time.thread_time() - used)
            if late > _BEAT_S:
                self._beats.append((loop.time(), late))

    def late_since(self, moment: float) -> float:
        """By how many seconds the loop was late altogether since a time of it, the beat that is due
        included."""
        late = max(0.0, asyncio.get_running_loop().time() - self._due)
        for when, by in reversed(self._beats):
            if when < moment:
                break
            late += by
        return late
