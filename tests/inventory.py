"""What the test process holds at one moment: child processes, descriptors, threads.

Knows how to list and how to describe each kind; judges nothing. A process counts when it descends
from this one, or when it carries the mark of this run in its environment: an orphan has lost its
parent but not its mark.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Set
from dataclasses import dataclass

import psutil

LAZY_DESCRIPTORS = ("/dev/urandom", "/.hypothesis/", "/.coverage")
"""Parts of targets that libraries open once, when first needed, and keep."""


@dataclass(frozen=True)
class Inventory:
    """Three sets; a descriptor is its number with its target."""

    processes: Set[psutil.Process]
    descriptors: Set[tuple[int, str]]
    threads: Set[threading.Thread]

    def __sub__(self, other: Inventory) -> Inventory:
        return Inventory(
            self.processes - other.processes,
            self.descriptors - other.descriptors,
            self.threads - other.threads,
        )

    def __or__(self, other: Inventory) -> Inventory:
        return Inventory(
            self.processes | other.processes,
            self.descriptors | other.descriptors,
            self.threads | other.threads,
        )

    def __bool__(self) -> bool:
        return bool(self.processes or self.descriptors or self.threads)

    def lines(self) -> list[str]:
        """One line per thing, in words that lead to whoever made it."""
        return [
            *map(_describe_process, self.processes),
            *(_describe_descriptor(*entry) for entry in sorted(self.descriptors)),
            *map(_describe_thread, self.threads),
        ]


class Observer:
    """Takes inventories; ``mark`` is the ``NAME=value`` that descendants of this run carry."""

    def __init__(self, mark: str) -> None:
        self._mark = mark.encode()
        self._foreign: set[int] = set()  # read once and not ours, which a process never becomes

    def take(self) -> Inventory:
        """What this process holds now."""
        processes = _descendants() | self._marked()
        return Inventory(processes, _descriptors(), frozenset(threading.enumerate()))

    def _marked(self) -> set[psutil.Process]:
        found = set()
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        self._foreign &= pids
        for pid in pids - self._foreign - {os.getpid()}:
            try:
                with open(f"/proc/{pid}/environ", "rb") as environ:
                    if self._mark in environ.read().split(b"\0"):
                        found.add(psutil.Process(pid))
                    else:
                        self._foreign.add(pid)
            except (PermissionError, ProcessLookupError):
                self._foreign.add(pid)  # another user's, or without memory: the kernel's own, or dead
            except (OSError, psutil.Error):
                continue  # gone meanwhile
        return found


def _descendants() -> set[psutil.Process]:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()  # no child, dead or alive: nearly always, and much cheaper than a search
    return set(psutil.Process().children(recursive=True))


def _descriptors() -> set[tuple[int, str]]:
    entries = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the descriptor of this very listing
        if not any(part in target for part in LAZY_DESCRIPTORS):
            entries.add((int(name), target))
    return entries


def _describe_process(process: psutil.Process) -> str:
    try:
        with process.oneshot():
            command = " ".join(process.cmdline()) or process.name()
            return f"process {process.pid} ({process.status()}): {command}"
    except psutil.Error:
        return f"process {process.pid} (gone just now)"


def _describe_descriptor(number: int, target: str) -> str:
    if target.startswith("socket:"):
        try:
            with socket.socket(fileno=os.dup(number)) as twin:
                target = f"{target} {twin.family.name} {twin.type.name} {_ends(twin)}"
        except OSError:
            pass  # closed just now; its number and target still name it
    return f"descriptor {number}: {target}"


def _ends(twin: socket.socket) -> str:
    try:
        return f"{twin.getsockname()!r} to {twin.getpeername()!r}"
    except OSError:
        return f"{twin.getsockname()!r}"


def _describe_thread(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "not running"
    return f"thread {thread.name!r}: {place}"
