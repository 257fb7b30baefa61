"""The processes that use most of something: every process measured, the first few described.

Measuring is cheap and done for all; describing (user, command line) costs several system calls for
each and is done only for those that are listed.
"""

from __future__ import annotations

import plugin_host_sdk as sdk

from . import cpu, deferred, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import psutil

    Row = dict[str, Any]

__all__ = ["processes", "rank"]


def processes(
    ctx: sdk.Context,
    sort: deferred.parameter.Sort = "cpu",
    limit: deferred.parameter.Limit = 20,
    name: str = "",
    interval: deferred.parameter.Interval = 0.25,
) -> dict[str, object]:
    """List the processes that come first by `sort`, at most `limit` of them.

    `cpu` and `memory` put the biggest first, `started` the youngest, `pid` and `name` the smallest.
    `name` keeps only processes whose name holds that text, in any case of letters. `cpu_percent` is of
    one CPU over `interval` seconds, so a process with several threads may exceed 100.
    `total` counts the processes that matched, `interval_s` is what was really measured.
    """
    before = _cpu_seconds(deferred.psutil.pids())
    elapsed = cpu.wait(ctx, interval)
    rows = [_measured(found, used, elapsed) for found, used in before.items()]
    matching = [row for row in rows if row is not None and name.casefold() in row["name"].casefold()]
    listed = [_described(row) for row in rank(matching, sort)[:limit]]
    return {
        "processes": [row for row in listed if row is not None],
        "total": len(matching),
        "interval_s": round(elapsed, 3),
    }


def rank(rows: list[Row], sort: str) -> list[Row]:
    """`rows` in the order that `sort` names; equals by pid, and what is not known last."""
    order = _ORDERS[sort]
    return sorted(rows, key=lambda row: (order(row), row["pid"]))


def _falling(key: str) -> Callable[[Row], float]:
    """An order with the biggest value first."""
    return lambda row: float("inf") if row[key] is None else -row[key]


_ORDERS: dict[str, Callable[[Row], Any]] = {
    "cpu": _falling("cpu_percent"),
    "memory": _falling("resident_bytes"),
    "started": _falling("started_at_s"),
    "pid": lambda row: row["pid"],
    "name": lambda row: row["name"].casefold(),
}


def _cpu_seconds(pids: list[int]) -> dict[psutil.Process, float | None]:
    """The CPU time each process has used; those that are gone already are left out."""
    used: dict[psutil.Process, float | None] = {}
    for pid in pids:
        try:
            found = deferred.psutil.Process(pid)
            times = found.as_dict(["cpu_times"])["cpu_times"]
        except deferred.psutil.NoSuchProcess:
            continue
        used[found] = times.user + times.system if times else None
    return used


def _measured(found: psutil.Process, before: float | None, elapsed: float) -> Row | None:
    """What can be ranked by, for one process; None when it ended in the interval."""
    try:
        facts = found.as_dict(["pid", "name", "cpu_times", "memory_info", "create_time"])
    except deferred.psutil.NoSuchProcess:
        return None
    times, memory = facts["cpu_times"], facts["memory_info"]
    known = times is not None and before is not None
    spent = max(0.0, times.user + times.system - before) if known else None
    return {
        "process": found,
        "pid": facts["pid"],
        "name": facts["name"] or "",
        "cpu_percent": None if spent is None else round(100 * spent / elapsed, 1),
        "resident_bytes": memory.rss if memory else None,
        "started_at_s": facts["create_time"],
    }


def _described(row: Row) -> Row | None:
    """`row` as it is answered; None when the process has ended since."""
    summary = process.summary(row["process"])
    if summary is None:
        return None
    # What was ranked by stays as it was measured, or the order would not match the figures.
    measured = {key: row[key] for key in ("cpu_percent", "resident_bytes")}
    return {**summary, **measured}
