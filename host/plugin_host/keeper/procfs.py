"""Processes as /proc shows them: who they are, and whether their environment marks them as a run's.

Its own, smaller reading of what `processtable` reads for the host: the keeper imports nothing that takes
an interpreter long to load. Everything is bytes, as the kernel gives them.
"""

from __future__ import annotations

import os

__all__ = [
    "ProcessRow",
    "is_in_exec",
    "is_marked",
    "parse_stat",
    "process_ids",
    "read_environ",
    "read_row",
]

_KERNEL_THREADS = 2  # whose child each of them is
# The name that `environment.RUN_MARK_NAME` has.
_MARK = b"PLUGIN_HOST_RUN="
_READ_BYTES = 64 * 1024


class ProcessRow:
    """One process. `started`, in the system's ticks, tells it from a later one of its number."""

    __slots__ = ("dead", "group", "parent", "pid", "session", "started")

    def __init__(self, pid: int, parent: int, group: int, session: int, started: int, dead: bool) -> None:
        self.pid = pid
        self.parent = parent
        self.group = group
        self.session = session
        self.started = started
        self.dead = dead


def process_ids() -> list[int]:
    """All processes of the moment, the newest mostly first: they are the first to be gone again."""
    return sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True)


def read_row(pid: int) -> ProcessRow | None:
    """One process as it is now; None when there is none of that number."""
    data = _read(f"/proc/{pid}/stat", whole=False)
    return parse_stat(pid, data) if data else None


def parse_stat(pid: int, data: bytes) -> ProcessRow:
    """What a /proc/PID/stat says."""
    # The name is in brackets and may hold anything, brackets too; numbered fields follow the last.
    state, *fields = data[data.rindex(b")") + 2 :].split(None, 20)
    # The first thread of a process may end before the others; then it lives on as a "zombie".
    dead = state in (b"Z", b"X") and int(fields[16]) <= 1
    return ProcessRow(pid, int(fields[0]), int(fields[1]), int(fields[2]), int(fields[18]), dead)


def read_environ(pid: int) -> bytes:
    """The environment it was started with; empty when it is gone, not ours to read, or just in an exec."""
    return _read(f"/proc/{pid}/environ")


def is_in_exec(row: ProcessRow) -> bool:
    """Whether a process without an environment is about to have one: it has no command line yet, either.

    A kernel's thread has neither for good.
    """
    return row.parent != _KERNEL_THREADS and not row.dead and not _read(f"/proc/{row.pid}/cmdline")


def is_marked(environ: bytes, run: bytes) -> bool:
    """Whether a PLUGIN_HOST_RUN in it holds a token `<run>/<plugin>/<n>` of this run."""
    if run + b"/" not in environ:
        return False
    return any(
        token.partition(b"/")[0] == run
        for entry in environ.split(b"\0")
        if entry.startswith(_MARK)
        for token in entry[len(_MARK) :].split()
    )


def _read(path: str, *, whole: bool = True) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        data = os.read(fd, _READ_BYTES)
        while whole and (more := os.read(fd, _READ_BYTES)):
            data += more
        return data
    except OSError:
        return b""
    finally:
        os.close(fd)
