"""What the host does about a plugin that does not answer: finds out where it hangs, tells, and ends it.

Owns the inquiry that runs for one plugin. Invariant: one that answers again before it was ended is not
ended; one that is ended dies with the stacks of its threads in the report.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from . import hang
from .event import HealthChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from .event import HostEvent
    from .health import HealthVerdict
    from .instance import Instance
    from .journal import Journal
    from .plugin import Plugin

__all__ = ["Intervention"]


class Intervention:
    """For one plugin, whichever instance of it serves."""

    def __init__(self, plugin: Plugin, journal: Journal, emit: Callable[[HostEvent], None]) -> None:
        self._plugin = plugin
        self._journal = journal
        self._emit = emit
        self._inquiry: asyncio.Task[None] | None = None

    def begin(self, instance: Instance, verdict: HealthVerdict) -> None:
        """The instance that serves is unresponsive."""
        self._plugin.healthy = False
        self._inquiry = asyncio.create_task(
            self._inquire(instance, verdict), name=f"inquiry into plugin {self._plugin.id}"
        )

    def recovered(self) -> None:
        """It answers again."""
        self.call_off()
        if not self._plugin.healthy:
            self._tell(True, "it answers, and its event loop comes round")

    def call_off(self) -> None:
        """There is nothing to find out any more; also when the instance has ended."""
        if self._inquiry is not None and self._inquiry is not asyncio.current_task():
            self._inquiry.cancel()
        self._inquiry = None

    async def _inquire(self, instance: Instance, verdict: HealthVerdict) -> None:
        found = await hang.examine(instance.process, instance.link)
        self._tell(False, f"{verdict.describe()}; {found.summary}")
        if instance.manifest.health.action == "restart":
            words = "was unresponsive and killed by the host: "
            await instance.kill(words + verdict.describe(), found.render())

    def _tell(self, healthy: bool, reason: str) -> None:
        plugin = self._plugin
        plugin.healthy = healthy
        level = logging.INFO if healthy else logging.WARNING
        what = "answers again" if healthy else "is unresponsive"
        self._journal.tell(level, f"plugin {plugin.id} {what}: {reason}")
        self._emit(HealthChanged(plugin=plugin.id, healthy=healthy, reason=reason))
