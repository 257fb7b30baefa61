"""What a process has from its parent besides what a launch settles: user, limits, priority, and the like.

A plugin that the host starts has the host's of that moment; one that is forked has those that the
forkserver was started with. Invariant: two postures are equal only if a child of the one would have found
the same in what is listed here as a child of the other. Not listed is what takes a system call that Python
does not offer: the I/O priority, policies for memory of several nodes, timer slack, keyrings, security
labels.
"""

from __future__ import annotations

import os
import re
import resource
from typing import NamedTuple

__all__ = ["Posture", "posture"]

# One look for all: a launch waits for it. A child has them from the thread that starts it.
_TASK = "/proc/thread-self"
# Looked for by the end of the line before, which is quicker than by the beginning of each.
_LINES = re.compile(
    rb"\n(?:Umask|Uid|Gid|Groups|Sig(?:Blk|Ign)|Cap\w+|NoNewPrivs|Seccomp\w*|Speculation\w+|THP_enabled"
    rb"|Cpus_allowed|Mems_allowed):.*"
)
_LIMITS = sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})
# Those of a child, where it may have others than its parent.
_NAMESPACES = tuple(
    f"ns/{name}"
    for name in ("cgroup", "ipc", "mnt", "net", "pid_for_children", "time_for_children", "user", "uts")
)
_MOST_BYTES = 64 * 1024


class Posture(NamedTuple):
    """`status` are lines of a thread's file of that name, `groups` is what its cgroup file holds; `limits`
    are the soft and hard ones of each resource; `scheduling` is niceness, policy and priority, `files`
    what other files in /proc hold."""

    status: tuple[bytes, ...]
    groups: bytes
    limits: tuple[tuple[int, int], ...]
    scheduling: tuple[int, int, int]
    namespaces: tuple[str, ...]
    files: tuple[bytes, ...]


def posture() -> Posture:
    """That of this thread, as it is now; some 0.1 ms. Raises OSError where there is no /proc."""
    folder = os.open(_TASK, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return Posture(
            status=tuple(_LINES.findall(_read("status", folder))),
            groups=_read("cgroup", folder),
            limits=tuple(map(resource.getrlimit, _LIMITS)),
            scheduling=(
                os.getpriority(os.PRIO_PROCESS, 0),
                os.sched_getscheduler(0),
                os.sched_getparam(0).sched_priority,
            ),
            namespaces=tuple(_namespace(path, folder) for path in _NAMESPACES),
            files=(
                _read_if_there("oom_score_adj", folder),
                _read_if_there("personality", folder),
                _read_if_there("/proc/self/coredump_filter", folder),
            ),
        )
    finally:
        os.close(folder)


def _read(path: str, folder: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(fd, _MOST_BYTES)
    finally:
        os.close(fd)


def _read_if_there(path: str, folder: int) -> bytes:
    try:
        return _read(path, folder)
    except (FileNotFoundError, PermissionError):  # a kernel without it, or a process that hides
        return b""


def _namespace(path: str, folder: int) -> str:
    try:
        return os.readlink(path, dir_fd=folder)
    except (FileNotFoundError, PermissionError):
        return ""
