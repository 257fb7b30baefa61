"""What a run has done, how long it took, and what was wrong."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Tally"]


@dataclass(slots=True)
class Tally:
    """Counts by name in groups, latencies of calls to bystanders in seconds, violations in words."""

    faults: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)  # made, ok, failed, cancelled
    failures: Counter[str] = field(default_factory=Counter)  # of calls, by kind
    sessions: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)  # in words
    events: Counter[str] = field(default_factory=Counter)
    latencies: array[float] = field(default_factory=lambda: array("f"))
    violations: list[str] = field(default_factory=list)

    def violate(self, who: str, what: str) -> None:
        """Something happened that must not."""
        self.violations.append(f"{who}: {what}")

    def latency(self, share: float) -> float:
        """What so large a share of the calls to bystanders did not exceed."""
        times = sorted(self.latencies)
        return times[min(len(times) - 1, int(len(times) * share))] if times else 0.0
