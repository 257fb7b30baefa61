"""All processes of the machine at one moment, and the marks they carry.

One pass over /proc, which costs about 10 µs a process; where there is no /proc, psutil, which costs some
five times that. The last table is kept so that many who look at the same moment share one pass.
Invariant: the rows of a table never change; they say what was true between `began` and the end of its
reading. A process that becomes another program at this moment shows no environment and is waited for, by
one table for a few milliseconds in all.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from plugin_host_sdk.ownproc import has_own_proc, is_blind

from .sparedescriptor import SPARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "Carriers",
    "Kin",
    "ProcessRow",
    "ProcessTable",
    "ProcessUse",
    "is_ending",
    "read_row",
    "read_use",
]

_HAS_PROC = has_own_proc()
_IS_BLIND = is_blind()
_READ_BYTES = 64 * 1024
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_TICKS = os.sysconf("SC_CLK_TCK")  # in a second, of what /proc counts processor time in
_PAUSE_S = 0.0005
_PATIENCE_S = 0.004  # what one table waits for environments in all: it is the host's loop that waits
# Places in /proc/PID/stat, behind the name: where its code ends, and its environment.
_CODE_END, _ENV_END = 24, 48
_PF_EXITING = 0x4


class ProcessRow(NamedTuple):
    """One process. `started` tells it from a later one of its number; its unit is the system's."""

    pid: int
    parent: int
    group: int
    session: int
    started: float
    name: str
    dead: bool  # a zombie: it has ended and waits to be reaped


class ProcessUse(NamedTuple):
    """What one process has at this moment. `resident` is memory in bytes, that which it shares included."""

    resident: int
    threads: int
    cpu_s: float  # processor seconds, with those of the children it has waited for


class Kin:
    """Rows by the process that is their parent, and by the session they are in."""

    __slots__ = ("children", "sessions")

    def __init__(self, rows: Iterable[ProcessRow]) -> None:
        self.children: defaultdict[int, list[ProcessRow]] = defaultdict(list)
        self.sessions: defaultdict[int, list[ProcessRow]] = defaultdict(list)
        for row in rows:
            self.children[row.parent].append(row)
            self.sessions[row.session].append(row)


class Carriers:
    """Rows by each word of one variable of their environment, for many who look for theirs.

    The environments are read the newest process first, and no more of them than asked for. Any thread may
    ask.
    """

    __slots__ = ("_by_word", "_left", "_mutex", "_read")

    def __init__(self, rows: Iterable[ProcessRow], read: Callable[[int], str | None]) -> None:
        self._left = sorted(rows, key=lambda row: row.started)
        self._read = read
        self._by_word: dict[str, list[ProcessRow]] = {}
        self._mutex = threading.Lock()

    def of(self, word: str, since: float) -> list[ProcessRow]:
        """The living ones that have it and started at `since` or later; never this process."""
        with self._mutex:
            while self._left and self._left[-1].started >= since:
                self._sort_in(self._left.pop())
        return [row for row in self._by_word.get(word, ()) if row.started >= since]

    def _sort_in(self, row: ProcessRow) -> None:
        if not row.dead and row.pid != os.getpid():
            for word in set((self._read(row.pid) or "").split()):
                self._by_word.setdefault(word, []).append(row)


class ProcessTable:
    """Rows by pid, as read since `began` (monotonic seconds)."""

    __slots__ = ("_carriers", "_kin", "_patience", "_values", "began", "rows")

    _last: ProcessTable | None = None

    def __init__(self, rows: dict[int, ProcessRow], began: float) -> None:
        self.rows = rows
        self.began = began
        self._values: dict[tuple[int, str], str | None] = {}
        self._kin: Kin | None = None
        self._carriers: dict[str, Carriers] = {}
        self._patience = _PATIENCE_S

    @property
    def kin(self) -> Kin:
        """Who belongs to whom in this table."""
        if self._kin is None:
            self._kin = Kin(self.rows.values())
        return self._kin

    @classmethod
    def read(cls, not_before: float | None = None) -> ProcessTable:
        """A table whose reading began at `not_before` (monotonic seconds) or later; default: now."""
        last = cls._last
        if last is not None and not_before is not None and last.began >= not_before:
            return last
        began = time.monotonic()
        rows = {row.pid: row for row in (_proc_rows() if _HAS_PROC else _psutil_rows())}
        cls._last = cls(rows, began)
        return cls._last

    def variable(self, pid: int, name: str) -> str | None:
        """A variable of the environment `pid` was started with; None when unset or not readable."""
        key = pid, name
        if key not in self._values:
            read = _proc_variable if _HAS_PROC else _psutil_variable
            self._values[key] = read(pid, name, self._wait)
        return self._values[key]

    def carriers(self, name: str) -> Carriers:
        """Who has which words in this variable."""
        if name not in self._carriers:
            self._carriers[name] = Carriers(self.rows.values(), lambda pid: self.variable(pid, name))
        return self._carriers[name]

    def _wait(self) -> bool:
        """Let a process become its program; whether there was time for it."""
        if self._patience <= 0:
            return False
        before = time.monotonic()
        time.sleep(_PAUSE_S)
        self._patience -= time.monotonic() - before
        return True


def read_row(pid: int) -> ProcessRow | None:
    """One process as it is now; None when there is none of that number."""
    return _proc_row(pid) if _HAS_PROC else _psutil_row(pid)


def is_ending(pid: int) -> bool:
    """Whether a process has begun to end, which the kernel notes before it closes its descriptors, or has
    ended; where that cannot be seen, True."""
    if not _HAS_PROC:
        return True
    fields = _read_file(f"/proc/{pid}/stat", whole=False).rpartition(b")")[2].split(None, 8)
    return len(fields) < 8 or bool(int(fields[6]) & _PF_EXITING)


def read_use(pid: int) -> ProcessUse | None:
    """What a process has now; None when there is none of that number, or nothing is told of it."""
    return _proc_use(pid) if _HAS_PROC else _psutil_use(pid)


def _proc_rows() -> Iterator[ProcessRow]:
    # Newest first: what a forking program has just started is the first to be gone again.
    names = SPARE.lent_to(lambda: os.listdir("/proc"))
    for pid in sorted((int(name) for name in names if name.isdigit()), reverse=True):
        row = _proc_row(pid)
        if row is not None:
            yield row


def _proc_row(pid: int) -> ProcessRow | None:
    data = _read_file(f"/proc/{pid}/stat", whole=False)
    if not data:
        return None
    # The name is in brackets and may hold anything, brackets too; numbered fields follow the last.
    opened, closed = data.index(b"("), data.rindex(b")")
    state, *fields = data[closed + 2 :].split(None, 20)
    return ProcessRow(
        pid=pid,
        parent=int(fields[0]),
        group=int(fields[1]),
        session=int(fields[2]),
        started=int(fields[18]),
        name=os.fsdecode(data[opened + 1 : closed]),
        # The first thread of a process may end before the others; then it lives on as a "zombie".
        dead=state in (b"Z", b"X") and int(fields[16]) <= 1,
    )


def _proc_use(pid: int) -> ProcessUse | None:
    data = _read_file(f"/proc/{pid}/stat", whole=False)
    if not data:
        return None
    fields = data[data.rindex(b")") + 2 :].split(None, 23)
    return ProcessUse(
        resident=int(fields[21]) * _PAGE_BYTES,
        threads=int(fields[17]),
        cpu_s=sum(map(int, fields[11:15])) / _TICKS,
    )


def _proc_variable(pid: int, name: str, wait: Callable[[], bool]) -> str | None:
    data = b"\0" + _proc_environment(pid, wait)
    _, found, rest = data.partition(b"\0" + os.fsencode(name) + b"=")
    return os.fsdecode(rest.split(b"\0", 1)[0]) if found else None


def _proc_environment(pid: int, wait: Callable[[], bool]) -> bytes:
    """What `pid` was started with. While it has none yet, `wait` gives it time, or says that time is up."""
    path = f"/proc/{pid}/environ"
    data = _read_file(path)
    is_changing = True
    while is_changing and not data and _has_program(pid):
        is_changing = _becomes_another(pid)
        if is_changing and not wait():
            break
        data = _read_file(path)
    return data


def _has_program(pid: int) -> bool:
    """Whether it lives, is no thread of the kernel, and may be looked into."""
    try:
        return bool(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return False


def _becomes_another(pid: int) -> bool:
    """Whether its environment is not there yet, or was not there any more when it was read: its memory is
    another's by now. Else an empty one is what it was started with."""
    fields = _read_file(f"/proc/{pid}/stat", whole=False).rpartition(b")")[2].split()
    if len(fields) <= _ENV_END:
        return False
    # The kernel says where the code ends after it has laid the environment out.
    return fields[_CODE_END] == b"0" or fields[_ENV_END - 1] != fields[_ENV_END]


def _read_file(path: str, *, whole: bool = True) -> bytes:
    """What it holds (`whole`: more than one read gives); nothing when it is gone or not ours to read."""
    try:
        return SPARE.lent_to(lambda: _content(path, whole))
    except OSError:
        return b""


def _content(path: str, whole: bool) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, _READ_BYTES)
        while whole and (more := os.read(fd, _READ_BYTES)):
            data += more
        return data
    finally:
        os.close(fd)


def _psutil_rows() -> Iterator[ProcessRow]:
    if _IS_BLIND:
        return
    import psutil  # slow to import, and not needed where there is /proc

    try:
        pids = psutil.pids()
    except (IndexError, psutil.Error, OSError):  # IndexError is its word for none: a Linux without /proc
        return
    for pid in pids:
        row = _psutil_row(pid)
        if row is not None:
            yield row


def _psutil_row(pid: int) -> ProcessRow | None:
    if _IS_BLIND:
        return None
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return ProcessRow(
                pid=pid,
                parent=process.ppid(),
                group=os.getpgid(pid),
                session=os.getsid(pid),
                started=process.create_time(),
                name=process.name(),
                dead=process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD),
            )
    except (psutil.Error, OSError):
        return None


def _psutil_use(pid: int) -> ProcessUse | None:
    if _IS_BLIND:
        return None
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return ProcessUse(
                resident=process.memory_info().rss,
                threads=process.num_threads(),
                cpu_s=sum(process.cpu_times()[:4]),
            )
    except (psutil.Error, OSError):
        return None


def _psutil_variable(pid: int, name: str, wait: Callable[[], bool]) -> str | None:
    if _IS_BLIND:
        return None
    import psutil

    try:
        return psutil.Process(pid).environ().get(name)
    except (psutil.Error, OSError):
        return None
