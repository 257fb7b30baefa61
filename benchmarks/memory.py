"""Memory that a process shares with nobody: what one more of its kind costs the machine."""

from __future__ import annotations

__all__ = ["private_mib"]


def private_mib(pid: int) -> float:
    """Private memory of a process in MiB. Raises OSError when it is gone."""
    kib = 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name in ("Private_Clean", "Private_Dirty"):
                kib += int(value.split()[0])
    return kib / 1024
