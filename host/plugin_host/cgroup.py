"""One launch's group of processes in the kernel: bounded, counted and killed as a whole.

A group is one folder in each hierarchy it needs. Whoever makes it puts the plugin's process in before
that runs code of its own; what the process starts is in it from then on, and nothing gets out by itself.
Invariant: a group that could not be made whole leaves no folder behind.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import time
from typing import TYPE_CHECKING

from .errand import apart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .machine import Controller, Machine, Place

__all__ = ["PREFIX", "Group", "make_group", "oom_kills", "plain_group"]

PREFIX = "plugin-host-"
"""How the folder of every group begins."""

# The last process of a group is gone from it a moment after it was reaped.
_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.1
_REMOVE_S = 2.0
_KILL_ROUNDS = 20
# The kernel takes memory for a group in pieces of this size: it is full when no more of them fits.
_BATCH_BYTES = 64 * os.sysconf("SC_PAGESIZE")


class Group:
    """A group that was made; see `make_group`. `folders` are all its folders."""

    __slots__ = ("_controllers", "_killer", "folders")

    def __init__(self, controllers: dict[Controller, Place], killer: str | None) -> None:
        self._controllers = controllers
        self._killer = killer
        every = [place.folder for place in controllers.values()]
        self.folders = tuple(dict.fromkeys([*every, *([killer] if killer else [])]))

    def make(self) -> None:
        """Make the folder of a `plain_group`. Raises OSError."""
        for folder in self.folders:
            os.mkdir(folder)

    def add(self, pid: int) -> None:
        """Put a process in, with all its threads. Raises OSError.

        May take some 20 ms, in which the kernel waits for others: not for the thread of a loop.
        """
        for folder in self.folders:
            _write(f"{folder}/cgroup.procs", str(pid))

    def expel(self, pid: int) -> None:
        """Put a process that does not belong here into the cgroup above."""
        for folder in self.folders:
            _write(f"{os.path.dirname(folder)}/cgroup.procs", str(pid))

    @property
    def oom_kills(self) -> int:
        """How many of its processes the out-of-memory killer killed."""
        match self._controllers.get("memory"):
            case (1, _) as place:
                return oom_kills(place) or 0
            case (_, folder):  # with those in groups that the plugin made inside it
                return _counters(f"{folder}/memory.events").get("oom_kill", 0)
        return 0

    @property
    def is_out_of_memory(self) -> bool:
        """Whether it once wanted more memory than its limit and could not be made to fit."""
        match self._controllers.get("memory"):
            case (1, folder):
                # Its `failcnt` does not count what the limit of memory and swap together stops.
                limit = _number(f"{folder}/memory.limit_in_bytes") or 0
                peaks = (_number(f"{folder}/memory.{name}max_usage_in_bytes") for name in ("", "memsw."))
                return any(peak is not None and peak + _BATCH_BYTES >= limit for peak in peaks)
            case (_, folder):
                return _counters(f"{folder}/memory.events").get("oom", 0) > 0
        return False

    @property
    def refused_forks(self) -> int:
        """How many new processes or threads were refused because there were enough."""
        place = self._controllers.get("pids")
        return _counters(f"{place.folder}/pids.events").get("max", 0) if place else 0

    @property
    def peak_memory(self) -> int | None:
        """The most memory it ever had at once, in bytes, files in memory included; None if not known."""
        match self._controllers.get("memory"):
            case (1, folder):
                return _number(f"{folder}/memory.max_usage_in_bytes")
            case (_, folder):
                return _number(f"{folder}/memory.peak")
        return None

    def pids(self) -> frozenset[int]:
        """Who is in it now."""
        found: set[int] = set()
        for folder in self.folders:
            for inner in _inside_out(folder):
                found.update(map(int, _read(f"{inner}/cgroup.procs").split()))
        return frozenset(found)

    def kill(self) -> bool:
        """SIGKILL to all that is in it; False when somebody may still be left."""
        if self._killer is not None and os.path.exists(f"{self._killer}/cgroup.kill"):
            try:
                _write(f"{self._killer}/cgroup.kill", "1")
                return True
            except OSError:
                pass  # the folder is gone, or a part of it is of threads
        return self._kill_one_by_one()

    def _kill_one_by_one(self) -> bool:
        if place := self._controllers.get("pids"):
            try:  # then nobody is born while we count
                _write(f"{place.folder}/pids.max", "0")
            except OSError:
                pass
        killed: set[int] = set()
        for _ in range(_KILL_ROUNDS):
            fresh = self.pids() - killed
            if not fresh:
                return True
            for pid in fresh:
                _kill(pid)
            killed |= fresh
        return False

    async def remove(self, *, by_thread: bool = False) -> bool:
        """Remove its folders, which is possible once nobody is in them; False if not within 2 s.

        It takes a moment, but for `by_thread`: the kernel removes no group while it moves a process.
        """
        if not any(map(os.path.lexists, self.folders)):
            return True
        deadline = time.monotonic() + _REMOVE_S
        pause = _FIRST_PAUSE_S
        try:
            while not (await apart(self._removed) if by_thread else self._removed()):
                if time.monotonic() > deadline:
                    return False
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
        except asyncio.CancelledError:
            self._removed()
            raise
        return True

    def discard(self) -> None:
        """Remove its folders, which nobody was in yet."""
        self._removed()

    def _removed(self) -> bool:
        left = [folder for folder in self.folders if not _remove(folder)]
        return not left

    def __repr__(self) -> str:
        return f"<cgroup {' '.join(self.folders)}>"


def make_group(
    machine: Machine,
    name: str,
    *,
    memory_bytes: int | None = None,
    processes: int | None = None,
    killable: bool = True,
) -> Group:
    """A group with these limits; `killable` if possible, which needs one folder more on version 1.

    `name` is that of the launch. Raises OSError, which names the file, when a limit cannot be set.
    """
    wanted: list[Controller] = []
    if memory_bytes is not None:
        wanted.append("memory")
    if processes is not None:
        wanted.append("pids")
    controllers: dict[Controller, Place] = {}
    made: list[str] = []
    folder_name = _folder_name(name)
    try:
        for controller in wanted:
            place = machine.places[controller]
            _enable(place, controller)
            controllers[controller] = place._replace(folder=_make(place, folder_name, made))
        if memory_bytes is not None:
            _bound_memory(controllers["memory"], memory_bytes)
        if processes is not None:
            _write(f"{controllers['pids'].folder}/pids.max", str(processes))
        killer = _make_killer(machine, folder_name, made) if killable else None
    except BaseException:
        for folder in made:
            _remove(folder)
        raise
    return Group(controllers, killer)


def plain_group(machine: Machine, name: str) -> Group | None:
    """A group without limits, to be ended as a whole; None where there can be none. `make` makes it.

    Without a place where groups are killed in one step, one whose members can be listed will do.
    """
    place = machine.killer or machine.places.get("pids") or machine.places.get("memory")
    if place is None:
        return None
    return Group({}, os.path.join(place.folder, _folder_name(name)))


def oom_kills(place: Place) -> int | None:
    """How many processes of this very cgroup the out-of-memory killer killed; None if not counted."""
    file = "memory.oom_control" if place.version == 1 else "memory.events.local"
    return _counters(f"{place.folder}/{file}").get("oom_kill")


def _folder_name(name: str) -> str:
    return PREFIX + name.replace("/", ".")


def _make(place: Place, name: str, made: list[str]) -> str:
    folder = os.path.join(place.folder, name)
    if folder not in made:
        os.mkdir(folder)
        made.append(folder)
    return folder


def _make_killer(machine: Machine, name: str, made: list[str]) -> str | None:
    if machine.killer is None:
        return None
    try:
        return _make(machine.killer, name, made)
    except OSError:  # a convenience: without it they are killed one by one
        return None


def _enable(place: Place, controller: Controller) -> None:
    """Let groups inside a cgroup of version 2 have a controller."""
    if place.version == 2:
        control = f"{place.folder}/cgroup.subtree_control"
        if controller not in _read(control).split():
            _write(control, f"+{controller}")


def _bound_memory(place: Place, size: int) -> None:
    """Memory and swap together: what is only moved to a disk is used, too."""
    folder = place.folder
    if place.version == 1:
        _write(f"{folder}/memory.limit_in_bytes", str(size))
        _write_if_there(f"{folder}/memory.memsw.limit_in_bytes", str(size))
    else:
        _write(f"{folder}/memory.max", str(size))
        _write_if_there(f"{folder}/memory.swap.max", "0")
        # Half a plugin is of no use to anybody.
        _write_if_there(f"{folder}/memory.oom.group", "1")


def _inside_out(folder: str) -> Iterator[str]:
    """The groups that were made inside it, innermost first, and the folder itself."""
    for inner, _, _ in os.walk(folder, topdown=False):
        yield inner


def _remove(folder: str) -> bool:
    """Whether it is gone. Looking inside it takes a descriptor, and there may be none left."""
    for inner in (folder, *_inside_out(folder)):
        try:
            os.rmdir(inner)
        except OSError:  # gone already, or somebody is in it, or a group
            pass
    return not os.path.lexists(folder)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass  # gone


def _write_if_there(path: str, text: str) -> None:
    """For what not every kernel has."""
    try:
        _write(path, text)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EOPNOTSUPP):
            raise


def _write(path: str, text: str) -> None:
    # Never with O_CREAT: in a folder that is no cgroup this is an error.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _number(path: str) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _counters(path: str) -> dict[str, int]:
    """The lines `name number` of a file; what is no such line is left out."""
    pairs = (line.split() for line in _read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
