"""What the threads of a process are doing, as the kernel sees it: two looks at /proc, a moment apart.

Knows no language and asks the process nothing, so it works for one that is stopped, stuck or no plugin of
ours. Where there is no /proc nothing is known. Invariant: at most `MOST_THREADS` threads are looked at.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import NamedTuple

from plugin_host_sdk.ownproc import has_own_proc

__all__ = ["MOST_THREADS", "ProcessState", "ThreadState", "catches", "look", "observe"]

MOST_THREADS = 128
OBSERVED_S = 0.25

_READ_BYTES = 4096
_HAS_PROC = has_own_proc()
_TICKS = os.sysconf("SC_CLK_TCK")
# What makes a thread one that computes: this part of a processor, or, where it has to share one, a small
# part and the wish for more.
_COMPUTES = 0.25
_COMPUTES_A_LITTLE, _WISHES = 0.05, 0.5
# Who waits for the interpreter's lock looks again at the SDK's switch interval, up to 2000 times a second;
# the runtime's own ticks are 100.
_TURNS = 150

# What a sleeping thread waits for, by the beginning of the kernel function it sleeps in.
_WAITS = (
    ("futex", "waits for a lock"),
    ("hrtimer_nanosleep", "sleeps"),
    ("poll_schedule", "waits for input"),
    ("do_epoll_wait", "waits for input"),
    ("ep_poll", "waits for input"),
    ("do_select", "waits for input"),
    ("do_sys_poll", "waits for input"),
    ("anon_pipe_read", "reads from a pipe"),
    ("pipe_read", "reads from a pipe"),
    ("anon_pipe_write", "writes to a pipe that is full"),
    ("pipe_write", "writes to a pipe that is full"),
    ("unix_stream_read", "reads from a socket"),
    ("unix_stream_data_wait", "reads from a socket"),
    ("sock_alloc_send", "writes to a socket that is full"),
    ("sk_wait_data", "reads from the network"),
    ("wait_woken", "reads from the network or a terminal"),
    ("inet_csk_accept", "waits for a connection"),
    ("do_wait", "waits for a child"),
    ("locks_lock", "waits for a lock on a file"),
    ("flock_lock", "waits for a lock on a file"),
    ("fcntl_setlk", "waits for a lock on a file"),
)


class _Row(NamedTuple):
    """A thread at one look: seconds in which it had a processor or waited for one; how often it got one."""

    tid: int
    name: str
    state: str
    started: int
    spent: float
    waited: float
    turns: int


@dataclass(frozen=True, slots=True)
class ThreadState:
    """A thread between two looks. `state` is the kernel's letter, `started` a time of the kernel's.

    `share` is its part of a processor, `wish` the part that it would have had with one to itself; `turns`
    is how often a second it got one, `place` the kernel function in which it sleeps.
    """

    tid: int
    name: str
    state: str
    started: int
    share: float = 0.0
    wish: float = 0.0
    turns: float = 0.0
    place: str = ""

    @property
    def computes(self) -> bool:
        """Whether it used a processor, or wanted to and had to share it."""
        return self.share >= _COMPUTES or (self.share >= _COMPUTES_A_LITTLE and self.wish >= _WISHES)

    @property
    def is_stopped(self) -> bool:
        return self.state in ("T", "t")

    @property
    def waits_for_turn(self) -> bool:
        """Whether it keeps looking for the interpreter's lock, which another thread has."""
        is_there = self.place == "" or self.place.startswith("futex")
        return is_there and not self.computes and self.turns >= _TURNS

    @property
    def waits_for_lock(self) -> bool:
        """Whether it sleeps until another thread lets go of something."""
        return not self.computes and self.place.startswith("futex") and self.turns < _TURNS

    def describe(self) -> str:
        """In words what it did: "computes", "sleeps", "waits for a lock", …"""
        if self.computes:
            return f"computes, {self.share:.0%} of a processor"
        if self.state == "T":
            return "is stopped"
        if self.state == "t":
            return "is stopped by a debugger"
        if self.state == "D":
            return "is in uninterruptible sleep" + (f" in {self.place}" if self.place else "")
        if self.waits_for_turn:
            return "waits for the interpreter"
        for beginning, words in _WAITS:
            if self.place.startswith(beginning):
                return words
        return "runs at times" if self.state == "R" else "sleeps"


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A process between two looks. No threads: it is gone, or nothing is known (`is_known`)."""

    threads: tuple[ThreadState, ...] = ()
    is_known: bool = True
    is_dead: bool = False

    @property
    def is_stopped(self) -> bool:
        """Whether none of its threads may run until somebody lets them."""
        return bool(self.threads) and all(thread.is_stopped for thread in self.threads)

    @property
    def share(self) -> float:
        """Processors that all its threads used together."""
        return sum(thread.share for thread in self.threads)

    def describe(self) -> str:
        """In words what it does."""
        threads = self.threads
        if not self.is_known:
            return "unknown"
        if self.is_dead or not threads:
            return "it has ended"
        if self.is_stopped:
            who = "a debugger" if threads[0].state == "t" else "a signal such as SIGSTOP"
            return f"stopped by {who}"
        stuck = [thread for thread in threads if thread.state == "D"]
        if stuck:
            return f"thread {stuck[0].tid} {stuck[0].describe()}"
        busy = [thread for thread in threads if thread.computes]
        if busy:
            who = "one thread uses" if len(busy) == 1 else f"{len(busy)} threads use"
            return f"busy: {who} {sum(thread.share for thread in busy):.0%} of a processor"
        if len(threads) == 1:
            return f"its only thread {threads[0].describe()}"
        return f"all {len(threads)} threads sleep"


async def observe(pid: int, seconds: float = OBSERVED_S) -> ProcessState:
    """Look twice, `seconds` apart; a process that is stopped or gone at the first look needs no second."""
    before, began = _rows(pid), time.monotonic()
    if before is None:
        return ProcessState(is_known=False)
    state = _compare(before, before, 1.0)
    if not before or state.is_dead or state.is_stopped:
        return state
    await asyncio.sleep(seconds)
    after, ended = _rows(pid), time.monotonic()
    return ProcessState(is_known=False) if after is None else _compare(before, after, ended - began, pid)


def look(pid: int) -> ProcessState:
    """One look: the states of the threads, and nothing of what they use."""
    rows = _rows(pid)
    return ProcessState(is_known=False) if rows is None else _compare(rows, rows, 1.0)


def catches(pid: int, signal: int) -> bool | None:
    """Whether the process has a handler for this signal, so that it does not end by it; None: unknown."""
    for line in _read(f"/proc/{pid}/status").splitlines() if _HAS_PROC else ():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal - 1) & 1)
    return None


def _compare(
    before: dict[int, _Row], after: dict[int, _Row], seconds: float, pid: int | None = None
) -> ProcessState:
    """What happened between two looks; with `pid`, also where in the kernel its threads sleep now."""
    threads = []
    for tid, row in after.items():
        first = before.get(tid, row)
        spent = row.spent - first.spent
        threads.append(
            ThreadState(
                tid=tid,
                name=row.name,
                state=row.state,
                started=row.started,
                share=spent / seconds,
                wish=(spent + row.waited - first.waited) / seconds,
                turns=(row.turns - first.turns) / seconds,
                place="" if pid is None else _place(pid, tid),
            )
        )
    is_dead = bool(threads) and all(thread.state in ("Z", "X") for thread in threads)
    return ProcessState(tuple(threads), is_dead=is_dead)


def _rows(pid: int) -> dict[int, _Row] | None:
    """The threads of a process by their numbers; none when it is gone, None when nothing can be seen."""
    if not _HAS_PROC:
        return None
    try:
        names = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return {}
    except OSError:  # no descriptor left to look with, or not ours to see
        return None
    # The first thread is the process's own, also where numbers have begun anew since.
    numbers = sorted(map(int, names), key=lambda number: (number != pid, number))
    rows = (_row(pid, number) for number in numbers[:MOST_THREADS])
    return {row.tid: row for row in rows if row is not None}


def _row(pid: int, tid: int) -> _Row | None:
    text = _read(f"/proc/{pid}/task/{tid}/stat")
    if not text:
        return None
    # The name is in brackets and may hold anything, brackets too; numbered fields follow the last.
    opened, closed = text.index("("), text.rindex(")")
    fields = text[closed + 2 :].split()
    spent, waited, turns = (int(fields[11]) + int(fields[12])) / _TICKS, 0.0, 0
    exact = _read(f"/proc/{pid}/task/{tid}/schedstat").split()  # not in every kernel
    if len(exact) == 3:
        spent, waited, turns = int(exact[0]) / 1e9, int(exact[1]) / 1e9, int(exact[2])
    return _Row(tid, text[opened + 1 : closed], fields[0], int(fields[19]), spent, waited, turns)


def _place(pid: int, tid: int) -> str:
    """The kernel function in which a thread sleeps; empty when it runs, or when this is not shown to us."""
    place = _read(f"/proc/{pid}/task/{tid}/wchan").strip()
    return "" if place == "0" else place


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, _READ_BYTES).decode("utf-8", "backslashreplace")
    except OSError:
        return ""
    finally:
        os.close(fd)
