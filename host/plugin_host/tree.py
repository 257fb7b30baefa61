"""Which processes belong to a plugin, and signals that reach them and nobody else.

A plugin's processes are its descendants, the members of the sessions they lead (found even when those
between them have died) and, for what left by both doors, the processes that carry the launch's mark.
Invariant: a process is a pid with its start time, checked again before every signal, so that a number
which has passed to another process is never signalled.

Looking costs milliseconds (10 µs for each process of the machine): it belongs to stopping, never to the
path of a call. Those who look at about the same moment share one look.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .environment import RUN_MARK_NAME
from .processtable import Kin, ProcessTable, read_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .processtable import ProcessRow

__all__ = [
    "ProcessIdentity",
    "alive",
    "family",
    "identify",
    "listed",
    "marked",
    "reap_adopted",
    "sandboxed_program",
    "signal_all",
    "signal_groups",
    "snapshot",
]


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process for good; two are equal when number and start time are."""

    pid: int
    started: float
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.name or '?'} ({self.pid})"


def identify(pid: int) -> ProcessIdentity | None:
    """The process that has this number now; a zombie counts."""
    row = read_row(pid)
    return _identity(row) if row else None


def snapshot(
    root: ProcessIdentity,
    known: Iterable[ProcessIdentity] = (),
    *,
    not_before: float | None = None,
) -> frozenset[ProcessIdentity]:
    """The living processes of the plugin that `root` is or was.

    `known` are members found earlier: what descends from them, or is in a session they lead, counts too.
    `not_before` (monotonic seconds) allows a look that somebody else took since then; without it a new
    one is taken.
    """
    table = ProcessTable.read(not_before)
    found = family(table.rows, (root, *known), table.kin)
    return frozenset(_identity(row) for row in found if not row.dead)


def marked(token: str, *, since: float = 0, not_before: float | None = None) -> frozenset[ProcessIdentity]:
    """The living processes whose PLUGIN_HOST_RUN holds `token`, wherever they went.

    `since` is the start time of the plugin: what started earlier cannot be its descendant, which saves
    most of the reading.
    """
    table = ProcessTable.read(not_before)
    return frozenset(map(_identity, table.carriers(RUN_MARK_NAME).of(token, since)))


def listed(members: Callable[[], frozenset[int]]) -> frozenset[ProcessIdentity]:
    """The living processes that `members` says belong, at the two moments between which it was seen who
    they are."""
    rows = [row for pid in members() if (row := read_row(pid)) and not row.dead]
    if not rows:
        return frozenset()
    still = members()
    return frozenset(_identity(row) for row in rows if row.pid in still and row.pid != os.getpid())


def sandboxed_program(sandbox: ProcessIdentity) -> ProcessIdentity | None:
    """The process that runs inside `sandbox`, which is the one that the host started; None when there is
    none.

    A signal that is meant for the plugin's program goes to this one: the sandbox's own would end of it.
    """
    kin = ProcessTable.read().kin
    for first in kin.children[sandbox.pid]:  # number 1 inside
        programs = [row for row in kin.children[first.pid] if not row.dead]
        if programs:  # later ones are orphans that were handed to number 1
            return _identity(min(programs, key=lambda row: (row.started, row.pid)))
    return None


def alive(processes: Iterable[ProcessIdentity]) -> frozenset[ProcessIdentity]:
    """Those that have not ended; one that waits to be reaped has."""
    return frozenset(process for process in processes if _is_alive(process))


def signal_all(processes: Iterable[ProcessIdentity], number: int) -> frozenset[ProcessIdentity]:
    """Signal each one that still is who it was; those signalled. Others' processes are left out."""
    return frozenset(process for process in processes if _signal(process, number))


def signal_groups(
    root: ProcessIdentity,
    known: Iterable[ProcessIdentity],
    number: int,
    *,
    not_before: float | None = None,
) -> bool:
    """Signal the process groups that belong to `root` as a whole; whether there were any.

    The arguments are those of `snapshot`. The kernel signals a group in one step, so processes that fork
    and end faster than anybody can look at them do not outrun it; their unreaped dead show where they are.
    """
    table = ProcessTable.read(not_before)
    ours = family(table.rows, (root, *known), table.kin)
    if not ours:
        return False
    shared = {row.group for row in table.rows.values() if row not in ours}
    # A number stays that of the group while it has a member, dead or alive, and these just had one.
    groups = {row.group for row in ours} - shared - {0, 1}
    reached = [group for group in groups if _delivered(os.killpg, group, number)]
    return bool(reached)


def reap_adopted(processes: Iterable[ProcessIdentity]) -> None:
    """Reap those that ended as our children: a host that is init or a subreaper inherits orphans.

    Never pass a child of ours that somebody waits for.
    """
    for process in processes:
        row = read_row(process.pid)
        if row and row.dead and row.parent == os.getpid() and row.started == process.started:
            try:
                os.waitpid(process.pid, os.WNOHANG)
            except ChildProcessError:
                pass


def family(
    rows: Mapping[int, ProcessRow], roots: Iterable[ProcessIdentity], kin: Kin | None = None
) -> frozenset[ProcessRow]:
    """The rows of `roots`, of their descendants, and of all sessions that any of these leads or led.

    `kin` is that of the rows, for who has it already.
    """
    kin = kin or Kin(rows.values())
    children, sessions = kin.children, kin.sessions
    found: set[ProcessRow] = set()
    todo: list[ProcessRow] = []
    for root in roots:
        holder = rows.get(root.pid)
        if holder is None:
            # Its number stays reserved while its session has members, so they are its own.
            todo += [member for member in sessions[root.pid] if member.started >= root.started]
        elif holder.started == root.started:
            todo.append(holder)
    while todo:
        row = todo.pop()
        if row in found or row.pid in (1, os.getpid()):
            continue
        found.add(row)
        todo += [child for child in children[row.pid] if child.started >= row.started]
        if row.session == row.pid:
            todo += sessions[row.pid]
    return frozenset(found)


def _identity(row: ProcessRow) -> ProcessIdentity:
    return ProcessIdentity(row.pid, row.started, row.name)


def _is_alive(process: ProcessIdentity) -> bool:
    row = read_row(process.pid)
    return row is not None and row.started == process.started and not row.dead


def _signal(process: ProcessIdentity, number: int) -> bool:
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except (AttributeError, OSError):  # no pidfds here, or no descriptor left for one
        return _is_alive(process) and _delivered(os.kill, process.pid, number)
    try:
        # The pidfd stays with the process it was opened for, so a check after opening it is enough.
        return _is_alive(process) and _delivered(signal.pidfd_send_signal, pidfd, number)
    finally:
        os.close(pidfd)


def _delivered(send: Callable[[int, int], None], target: int, number: int) -> bool:
    try:
        send(target, number)
    except OSError:  # gone, or it runs as somebody else
        return False
    return True
