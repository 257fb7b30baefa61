"""Who belongs to a run of a host, look after look.

Those whose environment carries the run's mark, those in its cgroup folders, and what these lead to: the
sessions they are in, for every plugin is started in one of its own, and their descendants. So a program
that cleared or overwrote its environment belongs, too; if its plugin is gone, the session that the host
told of leads to it. What was found once is remembered by pid and start time, for it may lose its mark by
an exec and its parent by a death.

Invariant: a process belongs for what it is or descends from, never for its number alone.
"""

from __future__ import annotations

import os

from . import cgroup
from .procfs import ProcessRow, is_in_exec, is_marked, process_ids, read_environ, read_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Census", "Look", "relatives"]


class Look:
    """What one look found: `ours` by pid, the dead among them too; `others` are the groups of the rest."""

    __slots__ = ("others", "ours")

    def __init__(self, ours: dict[int, ProcessRow], others: set[int]) -> None:
        self.ours = ours
        self.others = others

    @property
    def living(self) -> list[ProcessRow]:
        """Those that have not ended."""
        return [row for row in self.ours.values() if not row.dead]

    @property
    def groups(self) -> set[int]:
        """The process groups that nobody else is in."""
        return {row.group for row in self.ours.values()} - self.others


class Census:
    """Counts who belongs to `run`. `folders` are its cgroup folders, as they are at each look; `sessions`
    those its plugins lead or led, with the start times of these.

    `since` is the start time of the host, `host_session` its session; what is older than the one, or in
    the other, cannot be a plugin's.
    """

    def __init__(
        self,
        run: bytes,
        folders: list[bytes],
        sessions: Mapping[int, int] | None = None,
        *,
        since: int = 0,
        host_session: int = 0,
    ) -> None:
        self.run = run
        self.folders = folders
        self.marked: set[int] = set()  # of the last look, those known by their mark alone
        self.is_unsure = False  # the last look met one in an exec, which may be ours or not
        self._since = since
        self._apart = frozenset({0, 1, os.getsid(0), host_session})
        self._known: dict[int, int] = {}
        self._foreign: dict[int, int] = {}
        self._sessions = dict(sessions or {})

    def look(self) -> Look:
        """Look at all processes of the machine; some 20 µs for each."""
        listed = cgroup.members(self.folders)
        rows: dict[int, ProcessRow] = {}
        roots: list[ProcessRow] = []
        self.marked, self.is_unsure = set(), False
        for pid in process_ids():
            row = read_row(pid)
            if row is None:
                continue
            rows[pid] = row
            if self._known.get(pid) == row.started:
                roots.append(row)
            elif self._is_marked(row):
                self.marked.add(pid)
                roots.append(row)
        # In the folder before its row was read and after: the row is that of the process in it.
        listed &= cgroup.members(self.folders)
        roots += [rows[pid] for pid in listed if pid in rows]
        sessions = {number for number, at in self._sessions.items() if _is_led(rows.get(number), at)}
        ours = relatives(rows, roots, sessions, self._apart)
        self._remember(rows, ours)
        return Look(ours, {row.group for row in rows.values() if row.pid not in ours})

    def _is_marked(self, row: ProcessRow) -> bool:
        if row.dead or row.started < self._since or self._foreign.get(row.pid) == row.started:
            return False
        environ = read_environ(row.pid)
        if is_marked(environ, self.run):
            return row.pid != os.getpid()
        if environ:  # in the midst of an exec there is none, which says nothing
            self._foreign[row.pid] = row.started
        elif is_in_exec(row):
            self.is_unsure = True
        return False

    def _remember(self, rows: Mapping[int, ProcessRow], ours: Mapping[int, ProcessRow]) -> None:
        self._known = {pid: row.started for pid, row in ours.items()}
        # The start time of a leader that is gone is not needed any more: nobody else gets its number.
        self._sessions = {
            row.session: self._known.get(row.session, 0)
            for row in ours.values()
            if row.session not in self._apart
        }
        self._foreign = {pid: at for pid, at in self._foreign.items() if pid in rows}


def _is_led(holder: ProcessRow | None, started: int) -> bool:
    """Whether the process that has a session's number is its leader; when there is none, it has died."""
    return holder is None or holder.started == started


def relatives(
    rows: Mapping[int, ProcessRow],
    roots: list[ProcessRow],
    sessions: set[int],
    apart: frozenset[int],
) -> dict[int, ProcessRow]:
    """The rows of `roots`, of their descendants and of all in their sessions or in `sessions`.

    A session in `apart` is shared with others: there, only the descendants count.
    """
    children: dict[int, list[ProcessRow]] = {}
    together: dict[int, list[ProcessRow]] = {}
    for row in rows.values():
        children.setdefault(row.parent, []).append(row)
        together.setdefault(row.session, []).append(row)
    found: dict[int, ProcessRow] = {}
    todo = list(roots)
    for session in sessions - apart:
        todo += together.get(session, ())
    while todo:
        row = todo.pop()
        if row.pid in found or row.pid in (1, os.getpid()):
            continue
        found[row.pid] = row
        todo += [child for child in children.get(row.pid, ()) if child.started >= row.started]
        if row.session not in apart:
            todo += together.get(row.session, ())
    return found
