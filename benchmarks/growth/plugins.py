"""What one plugin of many costs: to start, to have, to call, to stop.

Run as `python -m benchmarks.growth.plugins COUNT LAUNCH`, in a process of its own; prints JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, cast

from benchmarks.memory import private_mib
from plugin_host.control.client import connect
from plugin_host.control.server import ControlServer
from plugin_host.localsocket import LocalSocket

from .crowd import closing, folder_of, host_of, pids, settle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from plugin_host import PluginHost

    from .crowd import Launch

__all__ = ["measure"]

_CALLS = 500
_WARM_UP = 20
_QUESTIONS = 20
# So many of the plugins are looked at for their memory: it takes the kernel some milliseconds each.
_LOOKED_AT = 20


async def measure(count: int, launch: Launch) -> dict[str, float]:
    """Times in milliseconds and memory in KiB, each for one plugin, and of one call or question."""
    async with folder_of(count) as folder:
        host = host_of(folder, launch)
        host.discover()
        before = _own_kib()
        begun = time.perf_counter()
        async with closing(host):
            started = time.perf_counter()
            await asyncio.gather(*(host.call(id, "echo", {"payload": 0}) for id in host.plugins))
            await settle()
            figures = {
                "start_ms": (started - begun) / count * 1e3,
                "host_kib": (_own_kib() - before) / count,
                "plugin_kib": median(private_mib(pid) for pid in pids(host)[:_LOOKED_AT]) * 1024,
                "rtt_us": await _round_trip(host),
                **await _questions(host, folder),
            }
            ended = time.perf_counter()
        return {**figures, "stop_ms": (time.perf_counter() - ended) / count * 1e3}


def _own_kib() -> float:
    gc.collect()
    return private_mib(os.getpid()) * 1024


async def _round_trip(host: PluginHost) -> float:
    """Of a call to one of them, in microseconds."""
    call = partial(host.call, "p0", "echo", {"payload": 0})
    times = [await _timed(call) for _ in range(_WARM_UP + _CALLS)]
    return median(times[_WARM_UP:]) * 1e6


async def _questions(host: PluginHost, folder: Path) -> dict[str, float]:
    """What a client of the control socket waits for an answer, in milliseconds."""
    path = str(folder / "control.sock")
    async with ControlServer(host, LocalSocket(path=path)):
        client = await connect(path)
        try:
            status = [await _timed(client.status) for _ in range(_QUESTIONS)]
            listing = [await _timed(client.plugins) for _ in range(_QUESTIONS)]
        finally:
            await client.close()
    return {"status_ms": median(status) * 1e3, "list_ms": median(listing) * 1e3}


async def _timed(ask: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await ask()
    return time.perf_counter() - begun


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]), cast("Launch", sys.argv[2])))))
