"""This project: plugins that are forked, one after the other and a hundred at once."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from plugin_host import PluginHost
from plugin_host.configuration import Configuration, Warm

from .asyncio_driver import AsyncioDriver
from .memory import private_mib
from .ours import Ours, open_as
from .scratch import write_plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["OursWarm", "driver"]

_CROWD = 100
_WARM = Configuration(warm=Warm(launch="always"))
# A spare child is forked right after the one before it was taken: this is for one start at a time.
_PAUSE_S = 0.05


class OursWarm(Ours):
    """The host with its plugin started, and a host of many besides."""

    def special(self, verb: str) -> Callable[[float], Coroutine[Any, Any, dict[str, float]]] | None:
        return {"warm": self._warm, "warm_typed": self._warm_typed, "warm_crowd": _crowd}.get(verb)

    async def _warm(self, seconds: float) -> dict[str, float]:
        return await self._restart("echo", _PAUSE_S)

    async def _warm_typed(self, seconds: float) -> dict[str, float]:
        return await self._restart("echo_typed", _PAUSE_S)


async def _crowd(seconds: float) -> dict[str, float]:
    """From a host without a forkserver to a hundred plugins that are ready; their memory once idle."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_plugins(folder, _CROWD)
        before = time.perf_counter()
        async with PluginHost(plugin_dirs=[folder], entry_points=False, config=_WARM) as host:
            took = time.perf_counter() - before
            await asyncio.gather(*(host.call(id, "echo", {"payload": b""}) for id in host.plugins))
            pids = [plugin.pid for plugin in host.plugins.values() if plugin.pid is not None]
            return {"s": took, "private_mib": median(map(private_mib, pids))}


async def _open() -> OursWarm:
    return await open_as(OursWarm, _WARM)


def driver() -> AsyncioDriver:
    return AsyncioDriver(_open)
