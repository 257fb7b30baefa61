"""Where the time of a call goes, on both sides: the answer to "why does this figure miss its budget?".

Both processes run under cProfile, for single calls on one processor as their budget has it. It makes
every Python call dearer than it is and C calls hardly; and on one processor a write that wakes the other
side is charged with the other's turn. So the order of the list can be trusted, not the microseconds.
"""

from __future__ import annotations

import asyncio
import cProfile
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import affinity
from .ours import open_host
from .workload import BIG, IN_FLIGHT, SMALL, WARM_UP

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .ours import Ours

__all__ = ["ROWS", "Costs", "plugin_module", "report", "show"]

_QUICK_SHARE = 10  # --quick makes one of so many calls
_SHOWN = 14

# Time in these is time in which this side had nothing to do.
_WAITS = ("select.epoll", "posix.readv", "acquire", "posix.read", "select.poll")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is profiled: so many echoes of a payload, so many of them at a time."""

    row: str
    title: str
    payload: bytes
    calls: int
    parallel: int = 1
    pinned: bool = False


_SCENARIOS = (
    Scenario("rtt", "one call at a time", SMALL, 20_000, pinned=True),
    Scenario("flight", f"{IN_FLIGHT} calls in flight", SMALL, 20_000, IN_FLIGHT),
    Scenario("big", "1 MiB", BIG, 200),
)

ROWS = tuple(scenario.row for scenario in _SCENARIOS)


@dataclass(slots=True)
class Costs:
    """Calls and own seconds by function."""

    calls: Counter[str]
    seconds: Counter[str]

    @classmethod
    def of(cls, rows: Iterable[list[Any]]) -> Costs:
        costs = cls(Counter(), Counter())
        for name, calls, seconds in rows:
            costs.calls[name] += calls
            costs.seconds[name] += seconds
        return costs

    def since(self, earlier: Costs) -> Costs:
        return Costs(self.calls - earlier.calls, self.seconds - earlier.seconds)


def report(rows: Collection[str], *, quick: bool) -> None:
    """Print the largest costs of both sides for the rows that are about calls."""
    scenarios = [scenario for scenario in _SCENARIOS if scenario.row in rows]
    share = _QUICK_SHARE if quick else 1
    plain = asyncio.run(_plain(scenarios, share))
    os.environ["BENCHMARK_PROFILE"] = "1"
    try:
        asyncio.run(_profiled(scenarios, share, plain))
    finally:
        del os.environ["BENCHMARK_PROFILE"]
        affinity.unpin(os.getpid())


async def _plain(scenarios: list[Scenario], share: int) -> list[float]:
    """Microseconds per call without any profiler."""
    ours = await _open()
    try:
        return [await _drive(ours, scenario, share) for scenario in scenarios]
    finally:
        await ours.close()


async def _profiled(scenarios: list[Scenario], share: int, plain: list[float]) -> None:
    ours = await _open()
    costs_of = plugin_module().costs_of
    try:
        for scenario, plain_us in zip(scenarios, plain, strict=True):
            before = Costs.of(await ours.command("profile", {}))
            profiler = cProfile.Profile()
            profiler.enable()
            us = await _drive(ours, scenario, share)
            profiler.disable()
            after = Costs.of(await ours.command("profile", {}))
            calls = scenario.calls // share
            print(f"\n{scenario.title}: {plain_us:.1f} µs a call; profiled {us:.1f}")
            show("host", Costs.of(costs_of(profiler)), calls, "a call")
            show("plugin", after.since(before), calls, "a call")
    finally:
        await ours.close()


async def _open() -> Ours:
    """Host and plugin, whose handler has been called often enough to be known as quick."""
    ours = await open_host()
    for _ in range(WARM_UP):
        await ours.call(SMALL)
    return ours


async def _drive(ours: Ours, scenario: Scenario, share: int) -> float:
    """Make the calls; the microseconds that each took."""
    calls, parallel = scenario.calls // share, scenario.parallel

    async def caller() -> None:
        for _ in range(calls // parallel):
            await ours.call(scenario.payload)

    (affinity.pin if scenario.pinned else affinity.unpin)(os.getpid())
    before = time.perf_counter()
    if parallel == 1:
        await caller()
    else:
        await asyncio.gather(*(caller() for _ in range(parallel)))
    return (time.perf_counter() - before) / calls * 1e6


def show(side: str, costs: Costs, calls: int, what: str, waits: tuple[str, ...] = _WAITS) -> None:
    """Print the largest costs of one side, for each of so many calls, or whatever was done."""
    # Waiting is left out: of the plugin's threads all but one wait all the time.
    idle = {name for name in costs.seconds if any(wait in name for wait in waits)}
    busy = sum(seconds for name, seconds in costs.seconds.items() if name not in idle)
    print(f"  {side}: {busy / calls * 1e6:.1f} µs of work {what}")
    shown = [item for item in costs.seconds.most_common() if item[0] not in idle][:_SHOWN]
    for name, seconds in shown:
        each, times = seconds / calls * 1e6, costs.calls[name] / calls
        print(f"    {seconds / busy:5.1%}  {each:6.2f} µs  {times:6.2f} times  {name}")


def plugin_module() -> Any:
    """The module that names costs; it lies with the plugin, which is no package of ours."""
    import importlib

    folder = str(Path(__file__).with_name("plugin"))
    sys.path.append(folder)
    try:
        return importlib.import_module("benchmark_profile")
    finally:
        sys.path.remove(folder)
