"""Which limit ended a plugin, in words: one place that turns what was counted into the reason of a death.

Pure. Invariant: a limit is named only where the kernel, the host's own look or the plugin's last lines
say that it was reached; otherwise there is no verdict and the exit status speaks for itself.
"""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .limit import amount, named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .exitstatus import ExitStatus
    from .limit import Enforcement
    from .usage import Excess

__all__ = ["Counts", "verdict"]

_OOM_KILLED = "killed by the kernel's out-of-memory killer"

# Processor time is counted in ticks, and the process is met at the next one.
_CPU_SLACK_S = 0.5

_NO_FILE = "Too many open files"
_NO_MEMORY = (
    "MemoryError",
    "Cannot allocate memory",
    "failed to map segment",  # of a library, which is how an import fails
    "std::bad_alloc",
    "out of memory",
)


@dataclass(frozen=True, slots=True)
class Counts:
    """What the kernel counted of a plugin's group of processes.

    `oom_kills` is how many of them the out-of-memory killer killed, `is_out_of_memory` whether their own
    limit was why, `refused_forks` how many new ones were refused; `oom_kills_beside` counts those killed
    meanwhile in the cgroup that the host itself is in.
    """

    oom_kills: int = 0
    is_out_of_memory: bool = False
    refused_forks: int = 0
    oom_kills_beside: int = 0


def verdict(
    status: ExitStatus,
    enforcements: Sequence[Enforcement],
    counts: Counts,
    *,
    excess: Excess | None = None,
    stderr: Sequence[str] = (),
) -> str | None:
    """How it ended when a limit had to do with it; replaces `status.describe()`. None when none had.

    `excess` is why the host itself ended it, `stderr` are its last lines.
    """
    names = {one.limit: named(one.limit, one.value) for one in enforcements}
    if excess is not None:
        return _exceeded(excess, names)
    if status.ok or status.by_us:
        return None
    if status.signal == signal.SIGKILL:
        return _killed(status, enforcements, counts, names)
    if status.signal == signal.SIGXCPU and "cpu_s" in names:
        return f"killed by SIGXCPU: {names['cpu_s']} was used up"
    clause = _clause(names, counts, "\n".join(stderr))
    return f"{status.describe()}{clause}" if clause else None


def _exceeded(excess: Excess, names: dict[str, str]) -> str:
    name = names.get(excess.limit) or named(excess.limit, excess.allowed)
    return f"ended by the host: {name} was exceeded (it had {amount(excess.limit, excess.seen)})"


def _killed(
    status: ExitStatus, enforcements: Sequence[Enforcement], counts: Counts, names: dict[str, str]
) -> str | None:
    if counts.oom_kills and counts.is_out_of_memory and "memory_bytes" in names:
        return f"{_OOM_KILLED}: {names['memory_bytes']} was reached"
    if counts.oom_kills:
        return f"{_OOM_KILLED}, although it kept to its own limit: there was no memory left around it"
    for one in enforcements:
        # One second after SIGXCPU; see the SDK's shim.
        if one.limit == "cpu_s" and (status.cpu_s or 0) >= math.ceil(one.value) + 1 - _CPU_SLACK_S:
            return f"killed by SIGKILL: {names['cpu_s']} was used up, and it did not end at SIGXCPU"
    return _OOM_KILLED if counts.oom_kills_beside else None


def _clause(names: dict[str, str], counts: Counts, said: str) -> str:
    """What the exit status alone does not tell."""
    if counts.oom_kills and counts.is_out_of_memory and "memory_bytes" in names:
        return (
            f"; before, the kernel's out-of-memory killer had killed {counts.oom_kills} of its processes: "
            f"{names['memory_bytes']} was reached"
        )
    if counts.refused_forks and "processes" in names:
        return f"; before, {names['processes']} was reached (new ones refused: {counts.refused_forks})"
    if "open_files" in names and _NO_FILE in said:
        return f"; by its last lines, {names['open_files']} was reached"
    if "address_space_bytes" in names and any(words in said for words in _NO_MEMORY):
        return f"; by its last lines, {names['address_space_bytes']} was reached"
    return ""
