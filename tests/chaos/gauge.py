"""What the host has at a moment: memory, descriptors, threads, tasks, and the processes of its run."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import threading
from dataclasses import dataclass, field

from benchmarks.soak.remains import marked

__all__ = ["Gauge", "Growth", "gauge"]

_give_back = getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: None)  # glibc's

# Parts of a run whose least figures are compared: one large message more or less is no growth.
_WARM = (0.2, 0.4)
_LAST = (0.8, 1e9)
_MOST_GROWTH = 0.1
_SPARED_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Gauge:
    """Bytes resident, and numbers; `objects` are those that the garbage collector knows."""

    rss: int
    descriptors: int
    threads: int
    tasks: int
    processes: int
    objects: int

    def describe(self) -> str:
        """In one line."""
        return (
            f"{self.rss / 1e6:.1f} MB, {self.descriptors} descriptors, {self.threads} threads, "
            f"{self.tasks} tasks, {self.processes} processes, {self.objects:,} objects"
        )


@dataclass(slots=True)
class Growth:
    """The least memory that the process had in two parts of a run, in bytes.

    The first begins when everything has happened that makes a host grow once.
    """

    figures: dict[tuple[float, float], int] = field(default_factory=dict)

    def note(self, share: float) -> None:
        """So much of the run is over."""
        for part in (_WARM, _LAST):
            if part[0] <= share < part[1]:
                rss = _resident()
                self.figures[part] = min(rss, self.figures.get(part, rss))

    @property
    def is_flat(self) -> bool:
        """Whether it has not grown by more than a tenth and 10 MB. Short runs never are warm, and prove
        nothing."""
        if len(self.figures) < len((_WARM, _LAST)):
            return True
        warm, last = (self.figures.get(part, 0) for part in (_WARM, _LAST))
        return last <= warm * (1 + _MOST_GROWTH) + _SPARED_BYTES

    def describe(self) -> str:
        """In words."""
        if len(self.figures) < len((_WARM, _LAST)):
            return "the run was too short to tell"
        warm, last = (self.figures.get(part, 0) / 1e6 for part in (_WARM, _LAST))
        return f"at least {warm:.1f} MB when it was warm, at least {last:.1f} MB in the last fifth"


def _resident() -> int:
    """Bytes of this process in memory, when the C library has given back what it only keeps for later.

    That is half of all now and then: one great message is enough.
    """
    _give_back(0)
    with open("/proc/self/statm", encoding="ascii") as line:
        return int(line.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def gauge(mark: str) -> Gauge:
    """Of this process; `mark` is what the processes of its run have in their environment."""
    processes = len(await asyncio.to_thread(marked, mark))
    gc.collect()
    return Gauge(
        rss=_resident(),
        descriptors=len(os.listdir("/proc/self/fd")) - 1,
        threads=threading.active_count(),
        tasks=len(asyncio.all_tasks()),
        processes=processes,
        objects=len(gc.get_objects()),
    )
