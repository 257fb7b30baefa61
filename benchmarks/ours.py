"""This project: `PluginHost` on asyncio, and the benchmark plugin in its process."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from plugin_host import PluginHost
from plugin_host.configuration import Configuration, Warm
from plugin_host.warm.switch import VARIABLE

from .asyncio_driver import AsyncioDriver
from .memory import private_mib
from .ping import beside
from .workload import BATCH, IN_FLIGHT, SMALL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from plugin_host.link import Link

__all__ = ["Ours", "driver", "open_as", "open_host"]

_ID = "benchmark"
_FOLDER = Path(__file__).with_name("plugin")

# Warm starts are another contestant's.
_COLD = Configuration(warm=Warm(launch="never"))

# How long one sleeping or computing handler takes; it is called again as soon as it is done.
_SLEEP_S = 0.05
_SPIN_S = 0.2


class _Host(PluginHost):
    """A host that shows the link of a plugin, which its users have no need of."""

    def link(self, plugin: str) -> Link:
        link = self._find(plugin).link
        assert link is not None
        return link


class Ours:
    """The host with its plugin started."""

    def __init__(self, host: _Host) -> None:
        self._host = host

    @property
    def pid(self) -> int:
        """The plugin's process."""
        pid = self._host.plugins[_ID].pid
        assert pid is not None
        return pid

    def call(self, payload: bytes) -> Awaitable[Any]:
        return self._host.call(_ID, "echo", {"payload": payload})

    def command(self, name: str, params: dict[str, Any]) -> Awaitable[Any]:
        """Any command of the benchmark plugin."""
        return self._host.call(_ID, name, params)

    async def start(self) -> None:
        await self._host.start(_ID)

    async def stop(self) -> None:
        await self._host.stop(_ID)

    def special(self, verb: str) -> Callable[[float], Coroutine[Any, Any, dict[str, float]]] | None:
        """The measurements that only this contestant has, or takes in its own way."""
        return {
            "cold": self._cold,
            "cold_typed": self._cold_typed,
            "many": self._many,
            "ping_sleep": self._ping_sleep,
            "ping_spin": self._ping_spin,
        }.get(verb)

    async def close(self) -> None:
        await self._host.close()

    async def _cold(self, seconds: float) -> dict[str, float]:
        return await self._restart("echo")

    async def _cold_typed(self, seconds: float) -> dict[str, float]:
        return await self._restart("echo_typed")

    async def _restart(self, command: str, pause_s: float = 0.0) -> dict[str, float]:
        """From before the plugin's process exists to its first answer; then its idle memory."""
        await self.stop()
        await asyncio.sleep(pause_s)
        before = time.perf_counter()
        await self.start()
        await self._host.call(_ID, command, {"payload": SMALL})
        took = time.perf_counter() - before
        return {"ms": took * 1e3, "private_mib": private_mib(self.pid)}

    async def _many(self, seconds: float) -> dict[str, float]:
        clock, calls = time.perf_counter, 0
        start = clock()
        while clock() - start < seconds:
            calls += len(await self._host.call_many(_ID, "echo", BATCH))
        return {"per_s": calls / (clock() - start)}

    async def _ping_sleep(self, seconds: float) -> dict[str, float]:
        return await self._ping("sleep", _SLEEP_S, IN_FLIGHT, seconds)

    async def _ping_spin(self, seconds: float) -> dict[str, float]:
        return await self._ping("spin", _SPIN_S, 1, seconds)

    async def _ping(self, command: str, each: float, callers: int, seconds: float) -> dict[str, float]:
        link = self._host.link(_ID)
        return await beside(
            lambda: link.request("ping", {"nonce": 1})[1],
            lambda: self._host.call(_ID, command, {"seconds": each}),
            callers,
            seconds,
        )


T = TypeVar("T", bound=Ours)


async def open_host() -> Ours:
    """Start the host and its plugin. Raises LaunchError when the plugin does not start."""
    return await open_as(Ours, _COLD)


async def open_as(made: type[T], config: Configuration) -> T:
    """The same for another kind of it, with a configuration of its own."""
    os.environ.pop(VARIABLE, None)  # which would win over the configuration
    host = _Host(plugin_dirs=[_FOLDER], entry_points=False, only=[_ID], config=config)
    await host.__aenter__()
    error = host.plugins[_ID].error
    if error is not None:
        await host.close()
        raise error
    return made(host)


def driver() -> AsyncioDriver:
    return AsyncioDriver(open_host)
