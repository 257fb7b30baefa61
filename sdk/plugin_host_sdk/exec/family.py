"""Which processes belong to a session's program, and signals that reach them and nobody else.

Its own are its descendants, the members of the sessions that it and they lead (found even when those
between them have died) and, for what left by both doors, the processes that carry the session's mark in
their environment. Waiting between signals is the caller's.

Invariant: a process is a pid with its start time, checked right before every signal, so that a number
which has passed to another process is never signalled. A session's number counts only while one of its
members is a process that was proved to be ours: so long the system does not give it away.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

from .processtable import ProcessTable, read_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from .processtable import ProcessRow

__all__ = ["Family"]

# A stopped process does not see them before it goes on.
_GENTLE = frozenset({signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
# Children that are born while their parents are killed are few, and themselves have no time for more.
_ROUNDS = 8


class Family:
    """The processes of one session.

    `leader_pid` is a child that has not been reaped yet; look once more before reaping it, and no member
    of its session is missed. `mark` is an entry NAME=value that its environment holds and no other's.
    """

    def __init__(self, leader_pid: int, mark: str) -> None:
        row = read_row(leader_pid)
        if row is not None and row.parent != os.getpid():
            row = None  # reaped by somebody else, and its number is another's
        self._mark = os.fsencode(mark)
        self._since = row.started if row else 0.0
        self._lock = threading.Lock()
        # What has been proved: processes, and the numbers of the sessions they lead or led.
        self._known: dict[int, float] = {leader_pid: row.started} if row else {}
        self._sessions = {leader_pid} if row and row.session == leader_pid else set()

    def __repr__(self) -> str:
        return f"<Family {sorted(self._known)}>"

    def look(self, table: ProcessTable | None = None) -> set[tuple[int, float]]:
        """Its living processes as (pid, start time), which are remembered.

        A table that was read just now serves any number of families.
        """
        table = table or ProcessTable.read()
        with self._lock:
            found = self._find(table)
            self._known = {row.pid: row.started for row in found}
            self._sessions |= {row.pid for row in found if row.session == row.pid}
        return {(row.pid, row.started) for row in found if not row.is_dead}

    def alive(self) -> set[tuple[int, float]]:
        """Those of the last look that have not ended; one that waits to be reaped has."""
        return {(pid, started) for pid, started in self._snapshot() if _living(pid, started)}

    def signal_all(self, signum: int, *, again: bool = True) -> set[tuple[int, float]]:
        """Signal those of the last look that are still who they were; whom it reached.

        After a SIGKILL it looks `again`, for children that were born meanwhile.
        """
        todo, tried, reached = set(self._snapshot()), set[tuple[int, float]](), set[tuple[int, float]]()
        for _ in range(_ROUNDS):
            reached |= {
                (pid, started) for pid, started in sorted(todo, key=_age) if _signal(pid, started, signum)
            }
            tried |= todo
            todo = self.look() - tried if again and signum == signal.SIGKILL else set()
            if not todo:
                break
        return reached

    def end_gently(self) -> set[tuple[int, float]]:
        """Ask all to end, with nobody able to answer for another meanwhile; whom that reached.

        They are frozen first, until no new ones turn up; then asked, children before their parents; then
        they go on. Looks at the machine's processes.
        """
        frozen = set[tuple[int, float]]()
        for _ in range(_ROUNDS):
            todo = self.look() - frozen
            if not todo:
                break
            for pid, started in sorted(todo, key=_age):
                _signal(pid, started, signal.SIGSTOP)
            frozen |= todo
        asked = sorted(frozen, key=_age, reverse=True)
        reached = {one for one in asked if _signal(*one, signal.SIGTERM, goes_on=False)}
        for one in asked:
            _signal(*one, signal.SIGCONT)
        return reached

    def _snapshot(self) -> list[tuple[int, float]]:
        with self._lock:
            return list(self._known.items())

    def _find(self, table: ProcessTable) -> set[ProcessRow]:
        found: set[ProcessRow] = set()
        rows = table.rows
        self._follow(
            table,
            found,
            [rows[pid] for pid, at in self._known.items() if pid in rows and rows[pid].started == at],
        )
        self._follow(table, found, table.carriers(self._mark, self._since))
        return found

    def _follow(self, table: ProcessTable, found: set[ProcessRow], todo: list[ProcessRow]) -> None:
        """Add the rows, their descendants and the members of their sessions to `found`."""
        while todo:
            row = todo.pop()
            if row in found or _is_taboo(row):
                continue
            found.add(row)
            todo += [child for child in table.children.get(row.pid, ()) if child.started >= row.started]
            if row.session == row.pid or row.session in self._sessions:
                todo += table.sessions[row.session]


def _age(process: tuple[int, float]) -> tuple[float, int]:
    """Parents first: a killed one makes no more children."""
    return process[1], process[0]


def _is_taboo(row: ProcessRow) -> bool:
    return row.pid in (0, 1, os.getpid())


def _living(pid: int, started: float) -> bool:
    row = read_row(pid)
    return row is not None and row.started == started and not row.is_dead


def _signal(pid: int, started: float, signum: int, *, goes_on: bool = True) -> bool:
    """Signal the process if it is still the one that began at `started`.

    One that is stopped does not see a gentle signal before it `goes_on`.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except (AttributeError, OSError):  # no pidfds here, or no descriptor left for one
        return _send(os.kill, pid, pid, started, signum, goes_on)
    try:
        # The pidfd stays with the process it was opened for, so a check after opening it is enough.
        return _send(signal.pidfd_send_signal, pidfd, pid, started, signum, goes_on)
    finally:
        os.close(pidfd)


def _send(
    send: Callable[[int, int], None], target: int, pid: int, started: float, signum: int, goes_on: bool
) -> bool:
    if not _living(pid, started):
        return False
    try:
        send(target, signum)
        if goes_on and signum in _GENTLE:
            row = read_row(pid)
            if row is not None and row.started == started and row.is_stopped:
                send(target, signal.SIGCONT)
    except OSError:  # gone, or it runs as somebody else
        return False
    return True
