"""Taking the numbers of a host: what was counted, what its plugins are, and what their processes use now.

Owns what every event adds to the counts. A snapshot looks at the machine's processes once, on a thread; the
rest is read in one turn of the loop, so its numbers belong together.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from . import consumption
from .event import DeathTold, HealthChanged, PluginSwapped, StateChanged
from .state import State
from .version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .consumption import Consumption
    from .event import HostEvent
    from .metric.meter import Meter
    from .metric.snapshot import PluginFigures, Snapshot, UsageFigures
    from .supervisor import Supervisor

__all__ = ["Measurement", "count"]


def count(meter: Meter, event: HostEvent) -> None:
    """Add what has happened to a plugin to its numbers."""
    if isinstance(event, StateChanged):
        if event.new is State.STARTING:
            meter.starts += 1
            meter.restarts += event.old is State.BACKOFF
    elif isinstance(event, DeathTold):
        meter.deaths[str(event.report.phase)] += 1
    elif isinstance(event, HealthChanged):
        meter.unresponsive += not event.healthy
    elif isinstance(event, PluginSwapped):
        meter.starts += 1
        meter.reloads += 1


class Measurement:
    """The numbers of the plugins of one host, from when it was made."""

    def __init__(self, supervisors: Mapping[str, Supervisor]) -> None:
        self._supervisors = supervisors
        self._started_at = time.time()
        self._started = time.monotonic()

    def count(self, event: HostEvent) -> None:
        """Something has happened."""
        supervisor = self._supervisors.get(event.plugin)
        if supervisor is not None:
            count(supervisor.plugin.meter, event)

    async def take(self) -> Snapshot:
        """All numbers as they are now."""
        runs = [(one, instance) for one in self._supervisors.values() for instance in one.instances]
        roots = [instance.process.identity for _, instance in runs]
        looks = await asyncio.to_thread(consumption.look, roots) if roots else []
        uses: dict[str, dict[int, Consumption]] = {id: {} for id in self._supervisors}
        for (supervisor, instance), found in zip(runs, looks, strict=True):
            uses[supervisor.plugin.id][instance.number] = found
        return {
            "version": VERSION,
            "at": time.time(),
            "started_at": self._started_at,
            "uptime": time.monotonic() - self._started,
            "plugins": {id: _figures(one, uses.get(id, {})) for id, one in self._supervisors.items()},
        }


def _figures(supervisor: Supervisor, uses: Mapping[int, Consumption]) -> PluginFigures:
    plugin = supervisor.plugin
    meter = plugin.meter
    return {
        "version": plugin.version,
        "state": str(plugin.state),
        "pid": plugin.pid,
        "healthy": plugin.healthy,
        "starts": meter.starts,
        "restarts": meter.restarts,
        "reloads": meter.reloads,
        "deaths": dict(sorted(meter.deaths.items())),
        "health_misses": meter.misses,
        "unresponsive": meter.unresponsive,
        "log_dropped": supervisor.log_dropped,
        "traffic": meter.traffic(),
        "usage": _usage(meter, uses),
        "sessions": meter.sessions.figures(sum(len(one.running) for one in supervisor.exec_proxies())),
        "calls": meter.calls.figures(),
    }


def _usage(meter: Meter, uses: Mapping[int, Consumption]) -> UsageFigures:
    return {
        "cpu_seconds": meter.cpu.read({number: one.cpu_s for number, one in uses.items()}),
        "memory_bytes": sum(one.memory for one in uses.values()),
        "processes": sum(one.processes for one in uses.values()),
        "threads": sum(one.threads for one in uses.values()),
    }
