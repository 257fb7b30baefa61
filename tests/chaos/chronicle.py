"""What the host tells of its plugins during a run, held against what happened to them."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from plugin_host import DeathTold, EventsLost, HealthChanged, StateChanged

if TYPE_CHECKING:
    from plugin_host import DeathReport, HostEvent

    from .tally import Tally

__all__ = ["Chronicle"]

_MOST_WORDS = 90


class Chronicle:
    """Hears every event until the host ends. `deaths` says how each plugin has died so far, oldest first.

    Words alone are kept: whole reports would look like memory that the host loses.
    """

    def __init__(self, tally: Tally, bystanders: frozenset[str]) -> None:
        self.deaths: dict[str, list[str]] = defaultdict(list)
        self.is_closing = False
        self._tally = tally
        self._bystanders = bystanders

    def hear(self, event: HostEvent) -> None:
        """One event."""
        tally = self._tally
        if isinstance(event, EventsLost):
            tally.violate("the events", f"{event.count} were lost")
        elif isinstance(event, DeathTold):
            self._died(event.report)
        elif isinstance(event, StateChanged):
            tally.events[f"-> {event.new}"] += 1
        elif isinstance(event, HealthChanged):
            tally.events["answers again" if event.healthy else "unresponsive"] += 1
            if not event.reason:
                tally.violate(event.plugin, "its health changed for no reason")
        is_told_of = isinstance(event, DeathTold | StateChanged | HealthChanged)
        if is_told_of and event.plugin in self._bystanders and not self.is_closing:
            tally.violate(event.plugin, f"a bystander was touched: {event}")

    def _died(self, report: DeathReport) -> None:
        self.deaths[report.plugin].append(_how(report))
        self._tally.deaths[in_words(report)] += 1
        if not report.how or not report.next:
            self._tally.violate(report.plugin, f"a death without its story: {report}")


def in_words(report: DeathReport) -> str:
    """How it ended, without what is of this one death only."""
    words = re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "N", _how(report).partition("\n")[0])
    return words if len(words) <= _MOST_WORDS else f"{words[:_MOST_WORDS]}…"


def _how(report: DeathReport) -> str:
    return f"{report.how} ({report.limit})" if report.limit else report.how
