"""What the host does about a plugin that does not answer: finds out where it hangs, tells, and ends it.

Owns the inquiry that runs for one plugin. Invariants: one that answers again before it was ended is not
ended, nor is one whose calls do not end while it answers; one that is ended dies with the stacks of its
threads in the report; no recovery is told of without what was recovered from.
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
    from .health import Cause, HealthVerdict
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
        self._untold: HealthVerdict | None = None  # what it is for, until that is told
        self._cause: Cause = "silent"  # of what was told last

    def begin(self, instance: Instance, verdict: HealthVerdict) -> None:
        """The instance that serves is unresponsive; an inquiry for another cause ends."""
        self.call_off()
        self._plugin.healthy = False
        self._untold = verdict
        self._inquiry = asyncio.create_task(
            self._inquire(instance, verdict), name=f"inquiry into plugin {self._plugin.id}"
        )

    def recovered(self) -> None:
        """It answers again, and its calls go on."""
        untold = self._untold
        self.call_off()
        if self._plugin.healthy:
            return
        if untold is not None:
            self._tell_trouble(untold, "it went on before more could be seen")
        self._plugin.healthy = True
        if self._cause == "stalled":
            self._tell(logging.INFO, "goes on", "a call has ended, or none waits any more")
        else:
            self._tell(logging.INFO, "answers again", "it answers, and its event loop comes round")

    def call_off(self) -> None:
        """There is nothing to find out any more; also when the instance has ended."""
        if self._inquiry is not None and self._inquiry is not asyncio.current_task():
            self._inquiry.cancel()
        self._inquiry = self._untold = None

    async def _inquire(self, instance: Instance, verdict: HealthVerdict) -> None:
        found = await hang.examine(instance.process, instance.link)
        self._tell_trouble(verdict, found.summary)
        if verdict.may_end and instance.manifest.health.action == "restart":
            words = "was unresponsive and killed by the host: "
            await instance.kill(words + verdict.describe(), found.render())

    def _tell_trouble(self, verdict: HealthVerdict, finding: str) -> None:
        self._untold, self._cause = None, verdict.cause
        what = "is stalled" if verdict.cause == "stalled" else "is unresponsive"
        self._tell(logging.WARNING, what, f"{verdict.describe()}; {finding}", verdict.cause)

    def _tell(self, level: int, what: str, reason: str, cause: Cause | None = None) -> None:
        plugin = self._plugin.id
        self._journal.tell(level, f"plugin {plugin} {what}: {reason}")
        self._emit(HealthChanged(plugin=plugin, healthy=cause is None, reason=reason, cause=cause))
