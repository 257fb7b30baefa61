"""On which processors a contestant runs: one for its whole family, or all.

Round trips between two processes depend on whether the scheduler keeps them on one processor, which
it decides anew all the time; on one processor the same code gives the same figure.
"""

from __future__ import annotations

import os

import psutil

__all__ = ["pin", "unpin"]

_ALL = os.sched_getaffinity(0)
_ONE = {max(_ALL)}  # device interrupts tend to be served by the first


def pin(pid: int) -> None:
    """Keep a process, its threads and all its descendants on one processor."""
    _set(pid, _ONE)


def unpin(pid: int) -> None:
    """Let them run anywhere again."""
    _set(pid, _ALL)


def _set(pid: int, cpus: set[int]) -> None:
    family = [psutil.Process(pid)]
    family += family[0].children(recursive=True)
    for process in family:
        for thread in _threads(process.pid):
            try:
                os.sched_setaffinity(thread, cpus)
            except ProcessLookupError:
                pass  # it ended meanwhile


def _threads(pid: int) -> list[int]:
    """Each thread has a mask of its own, which the threads it starts take over."""
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []
