"""All processes of the machine at one moment, as sessions need them.

One pass over /proc costs some 10 µs a process; where there is no /proc, `ps` is asked. Invariant: the rows
of a table never change. What is not readable, or gone meanwhile, is not in it.

An environment is read when it is asked for. Until a new process becomes its program it shows its parent's,
and none at all for a moment while it does: the first is not believed for long, the second is waited for.
"""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

from plugin_host_sdk.ownproc import has_own_proc, is_blind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["ProcessRow", "ProcessTable", "read_row"]

_HAS_PROC = has_own_proc()
_IS_BLIND = is_blind()
_READ_BYTES = 64 * 1024
# An environment is that of the program from then on; an exec takes a millisecond, on a busy machine some.
_SETTLED_S = 1.0
_PAUSE_S = 0.0005
_PATIENCE_S = 0.005  # what one table waits in all: the reactor may be who looks
# Places in /proc/PID/stat, behind the name: where its code ends, and its environment.
_CODE_END, _ENV_END = 24, 48
_PS = ("ps", "-o", "pid=,ppid=,stat=,lstart=")


class ProcessRow(NamedTuple):
    """One process. `started` tells it from a later one of its number; its unit is the system's."""

    pid: int
    parent: int
    session: int
    started: float
    is_dead: bool  # it has ended and waits to be reaped
    is_stopped: bool


class ProcessTable:
    """Rows by pid, by parent and by session. One table may serve any number of families."""

    __slots__ = ("_indices", "_patience", "_young", "children", "rows", "sessions")

    def __init__(self, rows: Iterable[ProcessRow]) -> None:
        self._patience = _PATIENCE_S
        self._young: dict[int, tuple[float, list[bytes]]] = {}
        # By the name of an entry: since when rows were looked at, and those that carry each entry.
        self._indices: dict[bytes, tuple[float, dict[bytes, list[ProcessRow]]]] = {}
        self.rows = {row.pid: row for row in rows}
        self.children: dict[int, list[ProcessRow]] = {}
        self.sessions: dict[int, list[ProcessRow]] = {}
        for row in self.rows.values():
            self.children.setdefault(row.parent, []).append(row)
            self.sessions.setdefault(row.session, []).append(row)

    @classmethod
    def read(cls) -> ProcessTable:
        """The table of now."""
        table = cls(_proc_rows() if _HAS_PROC else _ps_rows("-A"))
        for pid in _environments.keys() - table.rows.keys():
            _environments.pop(pid, None)
        return table

    def carriers(self, entry: bytes, since: float) -> list[ProcessRow]:
        """The living that began at `since` or later and were given `entry` (NAME=value) in their
        environment; one that is not readable was given nothing.

        The first question reads what all later ones need.
        """
        name = entry.partition(b"=")[0] + b"="
        if (index := self._indices.get(name)) is None or since < index[0]:
            carriers: dict[bytes, list[ProcessRow]] = {}
            for row in self.rows.values():
                if row.started >= since and not row.is_dead:
                    for each in self._entries(row, name):
                        carriers.setdefault(each, []).append(row)
            index = self._indices[name] = since, carriers
        return [row for row in index[1].get(entry, ()) if row.started >= since]

    def _entries(self, row: ProcessRow, name: bytes) -> list[bytes]:
        known = _environments.get(row.pid)
        if known is None or known[0] != row.started:
            known = self._young.get(row.pid) or self._read_entries(row, name)
        return known[1]

    def _read_entries(self, row: ProcessRow, name: bytes) -> tuple[float, list[bytes]]:
        environment = _environment(row.pid, self._wait)
        known = row.started, [each for each in environment if each.startswith(name)]
        if environment != [b""]:  # or it may still get one
            # Kept from one table to the next: what a process did not inherit it never has.
            (_environments if _is_settled(row) else self._young)[row.pid] = known
        return known

    def _wait(self) -> bool:
        """Let a process become its program; whether there was time for it."""
        if self._patience <= 0:
            return False
        before = time.monotonic()
        time.sleep(_PAUSE_S)
        self._patience -= time.monotonic() - before
        return True


_environments: dict[int, tuple[float, list[bytes]]] = {}


def read_row(pid: int) -> ProcessRow | None:
    """One process as it is now; None when there is none of that number."""
    if _HAS_PROC:
        return _proc_row(pid)
    return next(_ps_rows("-p", str(pid)), None)


def _proc_rows() -> Iterator[ProcessRow]:
    # Newest first: what a forking program has just started is the first to be gone again.
    for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True):
        row = _proc_row(pid)
        if row is not None:
            yield row


def _proc_row(pid: int) -> ProcessRow | None:
    data = _read_file(f"/proc/{pid}/stat")
    if not data:
        return None
    # The name is in brackets and may hold anything, brackets too; numbered fields follow the last.
    state, *fields = data[data.rindex(b")") + 2 :].split(None, 20)
    return ProcessRow(
        pid=pid,
        parent=int(fields[0]),
        session=int(fields[2]),
        started=int(fields[18]),
        # The first thread of a process may end before the others; then it lives on as a "zombie".
        is_dead=state in (b"Z", b"X") and int(fields[16]) <= 1,
        is_stopped=state == b"T",
    )


def _environment(pid: int, wait: Callable[[], bool]) -> list[bytes]:
    """What `pid` was started with. While it has none yet, `wait` gives it time, or says that time is up."""
    if not _HAS_PROC:
        return [b""]
    path = f"/proc/{pid}/environ"
    data = _read_file(path)
    is_changing = True
    while is_changing and not data and _has_program(pid):
        is_changing = _becomes_another(pid)
        if is_changing and not wait():
            break
        data = _read_file(path)
    return data.split(b"\0")


def _has_program(pid: int) -> bool:
    """Whether it lives, is no thread of the kernel, and may be looked into."""
    try:
        return bool(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return False


def _becomes_another(pid: int) -> bool:
    """Whether its environment is not there yet, or was not there any more when it was read: its memory is
    another's by now. Else an empty one is what it was started with."""
    fields = _read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if len(fields) <= _ENV_END:
        return False
    # The kernel says where the code ends after it has laid the environment out.
    return fields[_CODE_END] == b"0" or fields[_ENV_END - 1] != fields[_ENV_END]


def _is_settled(row: ProcessRow) -> bool:
    """Whether it has been there long enough to be the program that it was started for."""
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - row.started / os.sysconf("SC_CLK_TCK")
    return age > _SETTLED_S


def _read_file(path: str) -> bytes:
    """What it holds; nothing when it is gone or not ours to read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        data = os.read(fd, _READ_BYTES)
        while len(data) % _READ_BYTES == 0 and (more := os.read(fd, _READ_BYTES)):
            data += more
        return data
    except OSError:
        return b""
    finally:
        os.close(fd)


def _ps_rows(*which: str) -> Iterator[ProcessRow]:
    if _IS_BLIND:
        return
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    answer = subprocess.run(
        [*_PS, *which], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdout=subprocess.PIPE,
        env=environment, check=False,
    )  # fmt: skip
    for line in answer.stdout.decode("ascii", "replace").splitlines():
        pid, parent, state, began = line.split(None, 3)
        try:
            session = os.getsid(int(pid))  # what `ps` shows of it is an address on some systems
        except OSError:
            session = 0
        yield ProcessRow(
            pid=int(pid),
            parent=int(parent),
            session=session,
            started=time.mktime(time.strptime(began.strip())),
            is_dead=state.startswith("Z"),
            is_stopped=state.startswith("T"),
        )
