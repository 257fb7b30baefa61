"""What is left when the host has closed and its loop has ended: nothing may be."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.soak.remains import marked
from plugin_host.host import PluginHost
from plugin_host.instance import Instance
from plugin_host.link import Link
from plugin_host.process import PluginProcess
from plugin_host.reaper import Reaper
from plugin_host.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Before", "before", "leftovers"]

_SETTLING_S = 5.0
_CGROUPS = Path("/sys/fs/cgroup")
_MORTAL = (PluginHost, Supervisor, Instance, Link, PluginProcess, Reaper)


@dataclass(frozen=True, slots=True)
class Before:
    """What there was before there was a host."""

    descriptors: Counter[str]
    threads: frozenset[threading.Thread]


def before() -> Before:
    """Now."""
    return Before(_descriptors(), frozenset(threading.enumerate()))


def leftovers(was: Before, mark: str, rooms: list[Path]) -> list[str]:
    """What is there that was not, in words; `mark` is in the environment of all processes of the run,
    and `rooms` are folders in which it may have put something."""
    end = time.monotonic() + _SETTLING_S
    while (found := list(_look(was, mark))) and time.monotonic() < end:
        time.sleep(0.05)
    return found + list(_files(rooms)) + list(_objects())


def _look(was: Before, mark: str) -> Iterator[str]:
    for pid in marked(mark):
        yield f"process {pid}: {_command(pid)}"
    if _has_children():
        yield "a child process, dead or alive"
    for target, number in (_descriptors() - was.descriptors).items():
        yield f"{number} descriptors of {target}"
    for thread in set(threading.enumerate()) - was.threads:
        yield f"thread {thread.name}"
    for folder in _cgroups():
        yield f"cgroup {folder}"


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return "gone just now"


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _descriptors() -> Counter[str]:
    """Descriptors by what they are; of sockets and pipes only the kind."""
    held: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        try:
            held[os.readlink(f"/proc/self/fd/{name}").partition(":[")[0]] += 1
        except OSError:
            pass  # that of this very listing
    return held


def _cgroups() -> list[str]:
    """Groups of this host, which have the number of its process or of its run in their names."""
    return [folder for folder, _, _ in os.walk(_CGROUPS) if _is_ours(os.path.basename(folder))]


def _is_ours(name: str) -> bool:
    return name.startswith("plugin-host-") and (".bystander-" in name or ".victim-" in name)


def _files(rooms: list[Path]) -> Iterator[str]:
    for room in rooms:
        for path in room.rglob("*"):
            yield f"file {path}"


def _objects() -> Iterator[str]:
    """Parts of a host that somebody still holds."""
    gc.collect()
    kinds = Counter(type(one).__name__ for one in gc.get_objects() if type(one) in _MORTAL)
    for kind, number in kinds.items():
        yield f"{number} objects of {kind}"
