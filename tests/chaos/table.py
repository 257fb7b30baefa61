"""What is printed of a run: a line now and then, and all of it at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from .gauge import Gauge, Growth
    from .pulse import Pulse
    from .tally import Tally

__all__ = ["Figures", "line", "table"]

_SHOWN = 40


@dataclass(slots=True)
class Figures:
    """What was measured: `start` is when the host was warm, `end` before it was closed."""

    pulse: Pulse
    growth: Growth
    start: Gauge | None = None
    end: Gauge | None = None


def line(seconds: float, tally: Tally, now: Gauge, pulse: Pulse) -> str:
    """How it stands after so many seconds."""
    calls = tally.calls
    return (
        f"{seconds:5.0f} s: {calls['made']:,} calls, {calls['failed']:,} failed, "
        f"{tally.faults.total()} faults, {tally.deaths.total()} deaths, "
        f"{len(tally.violations)} violations; {now.describe()}; "
        f"loop late by {pulse.worst_s:.2f} s at most"
    )


def table(tally: Tally, figures: Figures) -> str:
    """The whole record."""
    groups = (
        ("faults", tally.faults),
        ("deaths", tally.deaths),
        ("calls", tally.calls),
        ("failed calls", tally.failures),
        ("sessions", tally.sessions),
        ("events", tally.events),
    )
    lines = [text for title, counts in groups for text in _group(title, counts)]
    median, late, most = (tally.latency(share) * 1000 for share in (0.5, 0.99, 1.0))
    lines.append(
        f"calls to bystanders took {median:.1f} ms (median), {late:.1f} (p99), {most:.1f} (longest)"
    )
    worst, busiest = figures.pulse.worst_s, figures.pulse.busiest_s
    lines.append(f"the loop was late by {worst:.3f} s at most, busy for {busiest:.3f} s at most")
    lines.append(f"the memory of the host: {figures.growth.describe()}")
    for title, gauge in (("after warming up", figures.start), ("in the end", figures.end)):
        if gauge is not None:
            lines.append(f"the host {title}: {gauge.describe()}")
    lines.append(f"{len(tally.violations)} violations")
    lines += [f"  {text}" for text in tally.violations[:_SHOWN]]
    if len(tally.violations) > _SHOWN:
        lines.append(f"  and {len(tally.violations) - _SHOWN} more")
    return "\n".join(lines)


def _group(title: str, counts: Counter[str]) -> Iterator[str]:
    yield f"{title}: {counts.total():,}"
    for name, number in counts.most_common():
        yield f"  {number:>12,}  {name}"
