"""One process and its descendants.

Nothing is kept between calls: a pid is looked up anew each time, and a process that ends while it is
looked at is answered like one that never was. What the system does not tell this user is null.
"""

from __future__ import annotations

import time

import plugin_host_sdk as sdk

from . import deferred, failure, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import psutil

__all__ = ["children", "process", "summary"]

_SUMMARY = (
    "pid",
    "ppid",
    "name",
    "username",
    "status",
    "num_threads",
    "memory_info",
    "create_time",
    "cmdline",
)
_DETAIL = (
    *_SUMMARY,
    "cpu_times",
    "memory_percent",
    "io_counters",
    "exe",
    "cwd",
    "terminal",
    "uids",
    "gids",
    "nice",
    "num_fds",
)


def process(ctx: sdk.Context, pid: deferred.parameter.Pid) -> dict[str, object]:
    """Tell about one process: what it runs, for whom, since when, and what it uses.

    Times are in seconds (`started_at_s` since the epoch), memory and transfer in bytes.

    Ends with status 2 (no such process) or 3 (permission denied).
    """
    try:
        facts = _facts(deferred.psutil.Process(pid), _DETAIL)
    except deferred.psutil.Error as error:
        raise failure.process_failure(error, pid) from error
    return {**_summary_of(facts), **_detail_of(facts)}


def children(ctx: sdk.Context, pid: deferred.parameter.Pid, recursive: bool = True) -> dict[str, object]:
    """List the processes that a process started, and with `recursive` those that they started.

    Each is as in `processes`, without CPU use; parents come before their children.

    Ends with status 2 (no such process) or 3 (permission denied).
    """
    try:
        found = deferred.psutil.Process(pid).children(recursive=recursive)
    except deferred.psutil.Error as error:
        raise failure.process_failure(error, pid) from error
    rows = [row for row in map(summary, found) if row is not None]
    return {"pid": pid, "children": rows}


def summary(found: psutil.Process) -> dict[str, object] | None:
    """The row that lists `found`; None when it has ended."""
    try:
        return _summary_of(_facts(found, _SUMMARY))
    except deferred.psutil.NoSuchProcess:
        return None


def _facts(found: psutil.Process, names: tuple[str, ...]) -> dict[str, Any]:
    """The named facts, read together; one that is denied, or that this system lacks, is None."""
    facts = found.as_dict([name for name in names if hasattr(found, name)])
    return {name: facts.get(name) for name in names}


def _summary_of(facts: dict[str, Any]) -> dict[str, object]:
    memory = facts["memory_info"]
    return {
        "pid": facts["pid"],
        "parent_pid": facts["ppid"],
        "name": text.clean(facts["name"]),
        "user": text.clean(facts["username"]),
        "status": facts["status"],
        "threads": facts["num_threads"],
        "resident_bytes": memory.rss if memory else None,
        "started_at_s": facts["create_time"],
        "command_line": text.clean_all(facts["cmdline"]),
    }


def _detail_of(facts: dict[str, Any]) -> dict[str, object]:
    memory, times, transfer = facts["memory_info"], facts["cpu_times"], facts["io_counters"]
    started = facts["create_time"]
    return {
        "age_s": round(max(0.0, time.time() - started), 3) if started else None,
        "executable": text.clean(facts["exe"]),
        "working_directory": text.clean(facts["cwd"]),
        "terminal": text.clean(facts["terminal"]),
        "user_id": facts["uids"].real if facts["uids"] else None,
        "group_id": facts["gids"].real if facts["gids"] else None,
        "niceness": facts["nice"],
        "open_files": facts["num_fds"],
        "cpu_user_s": times.user if times else None,
        "cpu_system_s": times.system if times else None,
        "virtual_bytes": memory.vms if memory else None,
        "memory_percent": round(facts["memory_percent"] or 0.0, 2) if memory else None,
        "read_bytes": transfer.read_bytes if transfer else None,
        "written_bytes": transfer.write_bytes if transfer else None,
    }
