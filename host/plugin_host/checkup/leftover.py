"""What earlier hosts left behind: processes, cgroups and folders of bytecode. Removes nothing.

Only what this user may look into is seen.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from plugin_host import threadstate
from plugin_host.bytecode import abandoned_folders
from plugin_host.cgroup import PREFIX
from plugin_host.environment import RUN_MARK_NAME
from plugin_host.processtable import ProcessTable, read_row
from plugin_host_sdk.ownproc import has_own_proc

from .finding import Finding, fault, note, ok
from .remnant import Marked, Remnant, judge, keeper_run

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from plugin_host.machine import Machine
    from plugin_host.processtable import ProcessRow

__all__ = ["cgroup_findings", "find", "group_folders", "process_findings"]

_SECTION = "leftovers"
_MOST_SHOWN = 8


def find(machine: Machine) -> list[Finding]:
    """All that is left; one finding that says so when nothing is."""
    if not has_own_proc():
        text = "not looked for: this system has no /proc of this PID namespace"
        return [note(_SECTION, "processes", text)]
    groups = group_folders(machine)  # before the hosts are looked at: whose these are is there by then
    remnants, alive = _remnants()
    found = [*process_findings(remnants), *_stopped_keepers()]
    found += cgroup_findings(groups, {*alive, *(one.run for one in remnants if one.host is not None)})
    found += map(_bytecode, abandoned_folders())
    whose = "" if os.geteuid() == 0 else " (processes of other users cannot be looked into)"
    return found or [ok(_SECTION, "earlier hosts", f"nothing is left of them{whose}")]


def process_findings(remnants: list[Remnant]) -> Iterator[Finding]:
    """What is to be said of the processes."""
    for one in remnants:
        subject = f"run {one.run}"
        names = ", ".join(f"{row.pid} ({row.name})" for row in one.rows[:_MOST_SHOWN])
        more = len(one.rows) - _MOST_SHOWN
        names += f" and {more} more" if more > 0 else ""
        words = f"processes of {', '.join(one.plugins)}: {names}"
        kill = f"kill -KILL {' '.join(str(row.pid) for row in one.rows)}"
        if one.host is None:
            yield fault(_SECTION, subject, f"{words}; their host is gone", kill)
        else:
            parent = f"{one.host.pid} ({one.host.name})"
            text = f"{words}; there is no keeper, and {parent} may be their host"
            yield note(_SECTION, subject, text, f"if {parent} is no host: {kill}")


def _stopped_keepers() -> Iterator[Finding]:
    """A keeper that somebody has stopped does nothing when its host is killed."""
    for row in ProcessTable.read().rows.values():
        words = _arguments(row.pid)
        run = keeper_run(words)
        if run is None or not threadstate.look(row.pid).is_stopped:
            continue
        subject, advice = f"run {run}", f"kill -CONT {row.pid}"
        if str(row.parent) == words[-2]:
            text = f"the keeper of the host {row.parent} is stopped: process {row.pid}"
            yield note(_SECTION, subject, text, advice)
        else:
            text = f"the host is gone, and the keeper, which is to end its plugins, is stopped: {row.pid}"
            yield fault(_SECTION, subject, text, advice)


def group_folders(machine: Machine) -> list[str]:
    """The cgroups of all runs, in the places where this machine's hosts make them."""
    places = [*machine.places.values(), *([machine.killer] if machine.killer else [])]
    parents = dict.fromkeys(place.folder for place in places)
    return [
        os.path.join(parent, name)
        for parent in parents
        for name in _names(parent)
        if name.startswith(PREFIX) and os.path.isdir(os.path.join(parent, name))
    ]


def cgroup_findings(folders: Iterable[str], alive: Collection[str]) -> Iterator[Finding]:
    """What is to be said of those that belong to none of the runs that are `alive`."""
    groups: dict[str, list[str]] = {}
    for folder in folders:  # one in each hierarchy
        groups.setdefault(os.path.basename(folder), []).append(folder)
    for name, everywhere in groups.items():
        there = [folder for folder in everywhere if os.path.isdir(folder)]
        if not there or name.removeprefix(PREFIX).partition(".")[0] in alive:
            continue
        where, is_one, whose = " and ".join(there), len(there) == 1, "of a run without a host"
        if pids := sorted({pid for folder in there for pid in _members(folder)}):
            text = f"{where} {'holds' if is_one else 'hold'} processes {whose}"
            yield fault(_SECTION, name, text, f"kill -KILL {' '.join(map(str, pids))}")
        else:
            text = f"{where} {'is an empty cgroup' if is_one else 'are empty cgroups'} {whose}"
            remove = f"find {' '.join(map(shlex.quote, there))} -depth -type d -exec rmdir {{}} +"
            yield note(_SECTION, name, text, remove)


def _bytecode(folder: str) -> Finding:
    text = f"{folder} holds bytecode for a host that is gone"
    return note(_SECTION, "bytecode", text, f"rm -r {shlex.quote(folder)}")


def _remnants() -> tuple[list[Remnant], set[str]]:
    """The runs without a keeper, and those with one."""
    before = ProcessTable.read()
    kept = _kept(before.rows.values())
    # A host may have come or gone while the table was read; it has a keeper before and after its plugins.
    table = ProcessTable.read()
    kept |= _kept(table.rows.values())
    marked = []
    for row in table.rows.values():
        mark = table.variable(row.pid, RUN_MARK_NAME)
        if mark:
            marked.append(Marked(row, mark))
    kept |= _kept(ProcessTable.read().rows.values())
    pythons = {row.pid for row in table.rows.values() if _is_python(row.pid)}
    still = [one for one in marked if (now := read_row(one.row.pid)) and now.started == one.row.started]
    return judge(table.rows, still, kept, pythons), kept


def _kept(rows: Collection[ProcessRow]) -> set[str]:
    return {run for row in rows if (run := keeper_run(_arguments(row.pid)))}


def _arguments(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [os.fsdecode(word) for word in file.read().rstrip(b"\0").split(b"\0")]
    except OSError:
        return []


def _is_python(pid: int) -> bool:
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).startswith(("python", "pypy"))
    except OSError:
        return False


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _members(folder: str) -> list[int]:
    """The processes in a cgroup and in those inside it."""
    found: set[int] = set()
    for inner, _, _ in os.walk(folder):
        try:
            with open(os.path.join(inner, "cgroup.procs"), encoding="ascii") as file:
                found.update(map(int, file.read().split()))
        except OSError:
            continue
    return sorted(found)
