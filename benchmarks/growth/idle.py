"""What a host of idle plugins does: nothing, but for a look at their health.

Run as `python -m benchmarks.growth.idle COUNT LAUNCH [SECONDS]`, in a process of its own; prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, cast

import psutil

from .crowd import closing, folder_of, host_of, pids
from .wakeup import Activity, activity

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .crowd import Launch

__all__ = ["measure", "watch"]

_SETTLING_S = 2.0
_WATCHED_S = 60.0


async def measure(count: int, launch: Launch, seconds: float = _WATCHED_S) -> dict[str, float]:
    """Wake-ups of each kind of process in a minute, and processor time as a share of one processor."""
    async with folder_of(count) as folder, closing(host_of(folder, launch)) as host:
        await asyncio.gather(*(host.call(id, "echo", {"payload": 0}) for id in host.plugins))
        await asyncio.sleep(_SETTLING_S)
        plugins = pids(host)
        helpers = [one.pid for one in psutil.Process().children(recursive=True) if one.pid not in plugins]
        seen = await watch([os.getpid(), *helpers, *plugins], seconds)
    minute = 60 / seconds
    return {
        "seconds": seconds,
        "host_per_min": seen[os.getpid()].wakeups * minute,
        "helpers_per_min": _wakeups(seen, helpers) * minute,
        "plugin_per_min": _wakeups(seen, plugins) / count * minute,
        "host_cpu_percent": seen[os.getpid()].ran_s / seconds * 100,
        "all_cpu_percent": sum(one.ran_s for one in seen.values()) / seconds * 100,
    }


async def watch(processes: Sequence[int], seconds: float) -> dict[int, Activity]:
    """What each did in that time, in which this process, if it is the first, sleeps too."""
    before = {pid: activity(pid) for pid in reversed(processes)}  # counting is not counted
    await asyncio.sleep(seconds)
    return {pid: activity(pid).since(before[pid]) for pid in processes}


def _wakeups(seen: dict[int, Activity], processes: Collection[int]) -> int:
    return sum(seen[pid].wakeups for pid in processes)


if __name__ == "__main__":
    count, launch, *rest = sys.argv[1:]
    seconds = float(rest[0]) if rest else _WATCHED_S
    print(json.dumps(asyncio.run(measure(int(count), cast("Launch", launch), seconds))))
