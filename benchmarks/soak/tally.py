"""What the soak has done and what was wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Tally"]

_SHOWN = 20


@dataclass(slots=True)
class Tally:
    """Counts by name, and violations in words."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def count(self, what: str, number: int = 1) -> None:
        """Something happened."""
        self.counts[what] += number

    def violate(self, who: str, what: str) -> None:
        """Something happened that must not."""
        self.violations.append(f"{who}: {what}")

    def lines(self) -> list[str]:
        """The summary."""
        width = max(map(len, self.counts), default=0)
        found = [f"  {name:<{width}}  {number:>15,}" for name, number in sorted(self.counts.items())]
        found.append(f"{len(self.violations)} violations")
        found += [f"  {text}" for text in self.violations[:_SHOWN]]
        if len(self.violations) > _SHOWN:
            found.append(f"  and {len(self.violations) - _SHOWN} more")
        return found
