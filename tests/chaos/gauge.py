"""What the host has at a moment: memory, descriptors, threads, tasks, and the processes of its run."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from dataclasses import dataclass

from benchmarks.soak.remains import marked

__all__ = ["Gauge", "gauge", "resident"]


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


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm", encoding="ascii") as line:
        return int(line.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def gauge(mark: str) -> Gauge:
    """Of this process; `mark` is what the processes of its run have in their environment."""
    processes = len(await asyncio.to_thread(marked, mark))
    gc.collect()
    return Gauge(
        rss=resident(),
        descriptors=len(os.listdir("/proc/self/fd")) - 1,
        threads=threading.active_count(),
        tasks=len(asyncio.all_tasks()),
        processes=processes,
        objects=len(gc.get_objects()),
    )
