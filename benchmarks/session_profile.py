"""Where the time of session output goes, on both sides.

As for calls, the order of the list can be trusted and not the microseconds. Reading and writing may wait,
too: their time is only theirs where the other side is quicker.
"""

from __future__ import annotations

import asyncio
import cProfile
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plugin_host import Output

from .flow import child
from .hotspot import Costs, plugin_module, show
from .session_host import PLUGIN, closing, open_host

if TYPE_CHECKING:
    from collections.abc import Collection

    from plugin_host import PluginHost

__all__ = ["ROWS", "report"]

_QUICK_SHARE = 10
_MB = 1_000_000

# Reading is the work here, except for what the plugin hears of its host.
_WAITS = ("select.epoll", "posix.readv", "acquire", "select.poll")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is profiled: so many megabytes of what a child writes."""

    row: str
    title: str
    mode: str
    tty: bool
    megabytes: int


_SCENARIOS = (
    Scenario("pipe", "pipe output", "blocks", False, 1000),
    Scenario("terminal", "terminal output, raw", "raw", True, 100),
    Scenario("terminal", "terminal output, cooked", "cooked", True, 100),
)

ROWS = tuple(dict.fromkeys(scenario.row for scenario in _SCENARIOS))


def report(rows: Collection[str], *, quick: bool) -> None:
    """Print the largest costs of both sides for the rows that are about output."""
    os.environ["BENCHMARK_PROFILE"] = "1"
    try:
        asyncio.run(_profiled(rows, _QUICK_SHARE if quick else 1))
    finally:
        del os.environ["BENCHMARK_PROFILE"]


async def _profiled(rows: Collection[str], share: int) -> None:
    costs_of = plugin_module().costs_of
    async with open_host() as host:
        for scenario in _SCENARIOS:
            if scenario.row not in rows:
                continue
            before = Costs.of(await _found(host))
            profiler = cProfile.Profile()
            profiler.enable()
            items = await _read(host, scenario, scenario.megabytes * _MB // share)
            profiler.disable()
            after = Costs.of(await _found(host))
            megabytes = scenario.megabytes // share
            print(f"\n{scenario.title}: {items / megabytes:.1f} pieces a megabyte")
            show("host", Costs.of(costs_of(profiler)), megabytes, "a megabyte", _WAITS)
            show("plugin", after.since(before), megabytes, "a megabyte", _WAITS)


async def _found(host: PluginHost) -> list[list[Any]]:
    found: list[list[Any]] = await host.call(PLUGIN, "profile", {})
    return found


async def _read(host: PluginHost, scenario: Scenario, size: int) -> int:
    """Read so many bytes; the number of pieces they came in."""
    items = 0
    async with (
        closing(host, child(scenario.mode), tty=scenario.tty) as session,
        await session.attach() as viewer,
    ):
        async for item in viewer:
            assert isinstance(item, Output)
            items += 1
            size -= len(item.data)
            if size <= 0:
                break
    return items
