"""What `top` shows of each plugin, from two snapshots of the host's numbers.

Pure. Rates and durations are those between the two; states and amounts those of the later one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from plugin_host.metric.histogram import BUCKETS, quantile
from plugin_host.metric.snapshot import difference
from plugin_host.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.metric.snapshot import PluginFigures, Snapshot

__all__ = ["SORTS", "Line", "as_map", "lines", "ordered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One plugin. Rates are None while there is no time between the snapshots, durations without calls."""

    plugin: str
    state: str
    pid: int | None
    cpu_percent: float | None
    memory_bytes: int
    processes: int
    threads: int
    calls_per_s: float | None
    failures_per_s: float | None
    p50_s: float | None
    p99_s: float | None
    in_flight: int
    sessions: int
    restarts: int


SORTS: dict[str, Callable[[Line], float]] = {
    "cpu": lambda line: line.cpu_percent or 0.0,
    "memory": lambda line: line.memory_bytes,
    "calls": lambda line: line.calls_per_s or 0.0,
    "latency": lambda line: line.p99_s or 0.0,
    "sessions": lambda line: line.sessions,
    "restarts": lambda line: line.restarts,
    "plugin": lambda line: 0.0,
}
"""By what lines are put in order, the greatest first; those that are equal stay as the host has them."""


def lines(later: Snapshot, earlier: Snapshot) -> list[Line]:
    """A line for each plugin, in the order of the host; not for those that nobody has tried to start."""
    between = difference(later, earlier)
    seconds = between["uptime"]
    return [
        _line(id, later["plugins"][id], figures, seconds)
        for id, figures in between["plugins"].items()
        if figures["state"] != State.DISCOVERED
    ]


def _line(id: str, now: PluginFigures, since: PluginFigures, seconds: float) -> Line:
    buckets = [0] * BUCKETS
    finished = failed = 0
    for calls in since["calls"].values():
        buckets = [one + other for one, other in zip(buckets, calls["buckets"], strict=True)]
        finished += calls["finished"]
        failed += sum(calls["failures"].values())
    cpu = _rate(since["usage"]["cpu_seconds"], seconds)
    return Line(
        plugin=id,
        state=now["state"] if now["healthy"] else "unresponsive",
        pid=now["pid"],
        cpu_percent=None if cpu is None else max(0.0, round(cpu * 100, 1)),
        memory_bytes=now["usage"]["memory_bytes"],
        processes=now["usage"]["processes"],
        threads=now["usage"]["threads"],
        calls_per_s=_rate(finished, seconds),
        failures_per_s=_rate(failed, seconds),
        p50_s=quantile(buckets, 0.5),
        p99_s=quantile(buckets, 0.99),
        in_flight=sum(calls["in_flight"] for calls in now["calls"].values()),
        sessions=now["sessions"]["running"],
        restarts=now["restarts"],
    )


def _rate(count: float, seconds: float) -> float | None:
    return round(count / seconds, 3) if seconds > 0 else None


def ordered(given: list[Line], sort: str) -> list[Line]:
    """The lines by what SORTS calls `sort`."""
    return sorted(given, key=SORTS[sort], reverse=True)


def as_map(later: Snapshot, earlier: Snapshot, sort: str) -> dict[str, Any]:
    """All of it for programs; `interval_s` is the time between the snapshots."""
    shown = [asdict(line) for line in ordered(lines(later, earlier), sort)]
    seconds = difference(later, earlier)["uptime"]
    return {"at": later["at"], "interval_s": round(seconds, 3), "plugins": shown}
