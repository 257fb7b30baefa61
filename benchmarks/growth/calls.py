"""What many calls at once to one plugin cost each: how many end in a second, and how long each waits.

Run as `python -m benchmarks.growth.calls COUNT LAUNCH`, in a process of its own; prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from statistics import quantiles
from typing import TYPE_CHECKING, cast

from .crowd import closing, folder_of, host_of

if TYPE_CHECKING:
    from plugin_host import PluginHost

    from .crowd import Launch

__all__ = ["measure"]

_WARM_UP_S, _MEASURED_S = 0.5, 2.0


async def measure(count: int, launch: Launch) -> dict[str, float]:
    """With so many callers, each of whom calls again as soon as it has its answer."""
    async with folder_of(1) as folder, closing(host_of(folder, launch)) as host:
        await _calls(host, count, _WARM_UP_S)
        begun = time.perf_counter()
        times = await _calls(host, count, _MEASURED_S)
        took = time.perf_counter() - begun
    cuts = quantiles(times, n=100)
    return {
        "per_s": len(times) / took,
        "each_us": took / len(times) * 1e6,
        "median_ms": cuts[49] * 1e3,
        "p99_ms": cuts[98] * 1e3,
        "p99_per_call_us": cuts[98] / count * 1e6,
    }


async def _calls(host: PluginHost, count: int, seconds: float) -> list[float]:
    """How long each call took."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        begun = time.perf_counter()
        while begun < end:
            await host.call("p0", "echo", {"payload": 0})
            ended = time.perf_counter()
            times.append(ended - begun)
            begun = ended

    await asyncio.gather(*(caller() for _ in range(count)))
    return times


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]), cast("Launch", sys.argv[2])))))
