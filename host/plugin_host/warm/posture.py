"""What a process has from its parent besides what a launch settles: user, limits, priority, and the like.

A plugin that the host starts has the host's of that moment; one that is forked has those that the
forkserver was started with. Invariant: two postures are equal when a child could not tell them apart.
"""

from __future__ import annotations

import os
import re
import resource
from typing import NamedTuple

__all__ = ["Posture", "posture"]

# One look for all: a launch waits for it.
_LINES = re.compile(
    rb"^(?:Umask|Uid|Gid|Groups|SigIgn|Cap\w+|NoNewPrivs|Seccomp\w*|Cpus_allowed|Mems_allowed):.*",
    re.MULTILINE,
)
_LIMITS = sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})


class Posture(NamedTuple):
    """`status` are lines of /proc/self/status, `groups` what /proc/self/cgroup holds, `limits` the soft and
    hard ones of each resource."""

    status: tuple[bytes, ...]
    groups: bytes
    limits: tuple[tuple[int, int], ...]
    nice: int


def posture() -> Posture:
    """This process's own, as it is now; some 50 µs. Raises OSError where there is no /proc."""
    return Posture(
        status=tuple(_LINES.findall(_read("/proc/self/status"))),
        groups=_read("/proc/self/cgroup"),
        limits=tuple(resource.getrlimit(kind) for kind in _LIMITS),
        nice=os.getpriority(os.PRIO_PROCESS, 0),
    )


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
