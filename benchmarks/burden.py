"""What a process costs the machine at one moment: memory, threads, descriptors, processor time."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Burden", "burden"]


@dataclass(frozen=True, slots=True)
class Burden:
    """KiB resident, KiB with shared pages divided among their sharers; counts; seconds since its start."""

    rss_kib: int
    pss_kib: int
    threads: int
    descriptors: int
    cpu_s: float


def burden(pid: int) -> Burden:
    """Of a process of this user. Raises OSError when it is gone."""
    rollup = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name in ("Rss", "Pss"):
                rollup[name] = int(value.split()[0])
    threads = os.listdir(f"/proc/{pid}/task")
    return Burden(
        rss_kib=rollup["Rss"],
        pss_kib=rollup["Pss"],
        threads=len(threads),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),
        cpu_s=sum(_ran_s(pid, thread) for thread in threads),
    )


def _ran_s(pid: int, thread: str) -> float:
    """To the nanosecond, where the usual clock ticks a hundred times a second."""
    try:
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as line:
            return int(line.read().split()[0]) / 1e9
    except FileNotFoundError:
        return 0.0  # a thread that ended meanwhile
