"""The lines of `top` as the cells of a table. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plugin_host.metric.snapshot import Snapshot

    from .topline import Line

__all__ = ["TITLES", "cells", "memory_text", "seconds_text", "summary"]

TITLES = (
    *("PLUGIN", "STATE", "PID", "CPU%", "MEM", "PROCS", "CALLS/S", "FAIL/S"),
    *("P50", "P99", "IN FLIGHT", "SESSIONS", "RESTARTS"),
)


def cells(line: Line) -> list[str]:
    """One for each of TITLES; `-` for what there is not."""
    return [
        line.plugin,
        line.state,
        _or_dash(line.pid),
        "-" if line.cpu_percent is None else f"{line.cpu_percent:.1f}",
        memory_text(line.memory_bytes) if line.processes else "-",
        str(line.processes),
        _rate_text(line.calls_per_s),
        _rate_text(line.failures_per_s),
        seconds_text(line.p50_s),
        seconds_text(line.p99_s),
        str(line.in_flight),
        str(line.sessions),
        str(line.restarts),
    ]


def summary(snapshot: Snapshot, lines: Sequence[Line]) -> str:
    """All plugins together, on one line."""
    states = Counter(line.state for line in lines)
    counted = ", ".join(f"{count} {state}" for state, count in states.most_common())
    cpu = sum(line.cpu_percent or 0.0 for line in lines)
    memory = memory_text(sum(line.memory_bytes for line in lines))
    calls = _rate_text(sum(line.calls_per_s or 0.0 for line in lines))
    return (
        f"plugin-host {snapshot['version']}  plugins: {counted or 'none'}"
        f"  cpu {cpu:.1f} %  memory {memory}  calls/s {calls}"
    )


def memory_text(size: float) -> str:
    """`512 K`, `12.5 M`, `1.2 G`."""
    size /= 1024
    for unit in ("K", "M"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "K" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} G"


def seconds_text(seconds: float | None) -> str:
    """`85 µs`, `1.2 ms`, `3.4 s`, to two or three figures."""
    if seconds is None:
        return "-"
    for size, unit in ((1e-6, "µs"), (1e-3, "ms")):
        if seconds < size * 999.5:
            count = seconds / size
            return f"{count:.1f} {unit}" if count < 9.95 else f"{count:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 99.95 else f"{seconds:.0f} s"


def _rate_text(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:.0f}" if rate >= 99.95 or rate == 0 else f"{rate:.1f}"


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)
