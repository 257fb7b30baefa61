"""All numbers of a host at one moment, as plain maps that JSON can hold, and what lies between two of them.

Pure. The order of every map is stable: plugins as the host lists them, everything else by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CallFigures",
    "PluginFigures",
    "SessionFigures",
    "Snapshot",
    "TrafficFigures",
    "UsageFigures",
    "difference",
]


class CallFigures(TypedDict):
    """The calls of one command. `seconds` is what those that ended took together; `failures` are by the
    name of the error; `buckets` count by duration, for `metric.histogram`."""

    started: int
    finished: int
    in_flight: int
    failures: dict[str, int]
    seconds: float
    buckets: list[int]


class SessionFigures(TypedDict):
    """The exec sessions of one plugin; `ended` by outcome, `failures` are those that were not opened."""

    opened: int
    running: int
    failures: dict[str, int]
    ended: dict[str, int]


class TrafficFigures(TypedDict):
    """Bytes on the connections of one plugin, as the host sees them."""

    received_bytes: int
    sent_bytes: int


class UsageFigures(TypedDict):
    """What the processes of one plugin have at this moment, and the processor time of all its runs."""

    cpu_seconds: float
    memory_bytes: int
    processes: int
    threads: int


class PluginFigures(TypedDict):
    """Everything of one plugin. `deaths` are by phase; `pid` is None while it does not run."""

    version: str
    state: str
    pid: int | None
    healthy: bool
    starts: int
    restarts: int
    reloads: int
    deaths: dict[str, int]
    health_misses: int
    unresponsive: int
    log_dropped: int
    traffic: TrafficFigures
    usage: UsageFigures
    sessions: SessionFigures
    calls: dict[str, CallFigures]


class Snapshot(TypedDict):
    """`at` and `started_at` are seconds since the epoch, `uptime` seconds of a clock that only rises."""

    version: str
    at: float
    started_at: float
    uptime: float
    plugins: dict[str, PluginFigures]


# What is as it is, and no count.
_NOW = frozenset(
    {"at", "started_at", "in_flight", "running", "memory_bytes", "processes", "threads", "pid", "healthy"}
)


def difference(later: Snapshot, earlier: Snapshot) -> Snapshot:
    """What was counted between the two: `uptime` is the seconds between them.

    States and amounts are those of `later`. Of another host's run, everything counts.
    """
    if later["started_at"] != earlier["started_at"]:
        return later
    return cast("Snapshot", _subtracted(later, earlier))


def _subtracted(later: Mapping[str, object], earlier: object) -> dict[str, object]:
    before = earlier if isinstance(earlier, dict) else {}
    return {key: value if key in _NOW else _less(value, before.get(key)) for key, value in later.items()}


def _less(later: object, earlier: object) -> object:
    if isinstance(later, dict):
        return _subtracted(later, earlier)
    if isinstance(later, list):
        known = earlier if isinstance(earlier, list) else [0] * len(later)
        return [now - then for now, then in zip(later, known, strict=True)]
    if isinstance(later, (int, float)) and isinstance(earlier, (int, float)):
        return later - earlier
    return later
