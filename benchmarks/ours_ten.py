"""This project: one host with one plugin and one with ten, which take turns in short blocks.

Neither has a rival: what is asked is that ten cost a caller no more than one does.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_host import PluginHost

from .sample import latency
from .scratch import write_plugins
from .workload import IN_FLIGHT, SMALL, WARM_UP

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TenDriver", "driver"]

_TEN = 10
_BLOCKS = 4


class TenDriver:
    """The loop runs only while something is measured."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory(prefix="benchmark-")
        self._ids = write_plugins(Path(self._folder.name), _TEN)
        self._one = self._runner.run(self._open(self._ids[:1]))
        self._ten = self._runner.run(self._open(self._ids))

    async def _open(self, ids: Sequence[str]) -> PluginHost:
        host = PluginHost(plugin_dirs=[Path(self._folder.name)], entry_points=False, only=ids)
        await host.__aenter__()
        for id in ids:
            for _ in range(WARM_UP):
                await host.call(id, "echo", {"payload": SMALL})
        return host

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        return self._runner.run({"ten_rtt": self._trip, "ten_flight": self._flight}[verb](seconds))

    async def _trip(self, seconds: float) -> dict[str, float]:
        """One call at a time to one plugin, beside no other and beside nine that do nothing."""
        one: list[float] = []
        ten: list[float] = []
        for _ in range(_BLOCKS):
            one += await self._times(self._one, seconds / _BLOCKS / 2)
            ten += await self._times(self._ten, seconds / _BLOCKS / 2)
        alone = {f"one_{name}": number for name, number in latency(one).items()}
        return {**latency(ten), **alone}

    async def _times(self, host: PluginHost, seconds: float) -> list[float]:
        clock, id, times = time.perf_counter, self._ids[0], []
        end = clock() + seconds
        while (before := clock()) < end:
            await host.call(id, "echo", {"payload": SMALL})
            times.append(clock() - before)
        return times

    async def _flight(self, seconds: float) -> dict[str, float]:
        """The rate of all calls, of as many callers to one plugin and to ten."""
        one = ten = 0.0
        for _ in range(_BLOCKS):
            one += await _rate(self._one, self._ids[:1], seconds / _BLOCKS / 2)
            ten += await _rate(self._ten, self._ids, seconds / _BLOCKS / 2)
        return {"per_s": ten / _BLOCKS, "one_per_s": one / _BLOCKS}

    def close(self) -> None:
        for host in (self._one, self._ten):
            self._runner.run(host.close())
        self._runner.close()
        self._folder.cleanup()


async def _rate(host: PluginHost, ids: Sequence[str], seconds: float) -> float:
    clock, calls = time.perf_counter, 0
    start = clock()

    async def caller(id: str) -> None:
        nonlocal calls
        while clock() - start < seconds:
            await host.call(id, "echo", {"payload": SMALL})
            calls += 1

    await asyncio.gather(*(caller(id) for id in itertools.islice(itertools.cycle(ids), IN_FLIGHT)))
    return calls / (clock() - start)


def driver() -> TenDriver:
    return TenDriver()
