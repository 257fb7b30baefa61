"""Ending what a host left behind: a moment for it to go by itself, then kills until nobody is left.

Invariant: no signal goes to a number alone. A process is held by a pidfd and looked at again before it is
signalled; a group only while nobody else is in it. It all ends within LIMIT_S.
"""

from __future__ import annotations

import os
import time
from errno import ESRCH

from . import cgroup
from .procfs import is_marked, read_environ, read_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from .census import Census, Look
    from .procfs import ProcessRow
else:
    import _signal  # `signal` takes longer to load than all the rest, for names that are not needed

__all__ = ["GRACE_S", "LIMIT_S", "clear"]

GRACE_S = 0.5
LIMIT_S = 10.0

# Nobody must be found for so long before the time is over: a plugin that was just being started has no
# mark until its exec.
_QUIET_S = 0.1
_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.05
_GRACE_PAUSE_S = 0.02
# Between an exec's old environment and its new one a process has none, so one look is not enough; on a busy
# machine that may last. Who has none for longer will not have one.
_CLEAN_LOOKS = 2
_EXEC_S = 2.0
_REMOVE_S = 1.0


def clear(census: Census, grace_s: float = GRACE_S) -> bool:
    """End everybody the census finds and take its cgroup folders away; whether nothing is left."""
    began = time.monotonic()
    is_clean = _wait(census, began, grace_s) or _kill_all(census, began + LIMIT_S)
    return _remove(census.folders) and is_clean


def _wait(census: Census, began: float, grace_s: float) -> bool:
    """Give them their time; whether they are all gone before it is over."""
    quiet_since: float | None = None
    while True:
        at = time.monotonic()
        if census.look().living:
            quiet_since = None
        elif quiet_since is None:
            quiet_since = at
        elif at - quiet_since >= _QUIET_S:
            return True
        now = time.monotonic()
        if now >= began + grace_s:
            return False
        time.sleep(min(max(_GRACE_PAUSE_S, 2 * (now - at)), began + grace_s - now))


def _kill_all(census: Census, deadline: float) -> bool:
    spared: set[tuple[int, int]] = set()
    clean, pause, began = 0, _FIRST_PAUSE_S, time.monotonic()
    while clean < _CLEAN_LOOKS:
        if time.monotonic() >= deadline:
            return False
        cgroup.kill(census.folders)
        look = census.look()
        left = [row for row in look.living if (row.pid, row.started) not in spared]
        is_unsure = census.is_unsure and time.monotonic() < began + _EXEC_S
        clean = 0 if left or is_unsure else clean + 1
        _kill(census, look, left, spared)
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
    return not spared


def _kill(census: Census, look: Look, left: list[ProcessRow], spared: set[tuple[int, int]]) -> None:
    reached = {group for group in look.groups if _kill_group(group, look)}
    for row in left:
        if row.group in reached:
            continue
        try:
            _kill_one(row, census.run if row.pid in census.marked else None)
        except PermissionError:  # it runs as somebody else
            spared.add((row.pid, row.started))


def _kill_group(group: int, look: Look) -> bool:
    """End a whole group in one step, which those that fork faster than anybody can look do not outrun.

    Its number stays its own while it has a member, dead or alive, and then no other process can get it.
    """
    leader, known = read_row(group), look.ours.get(group)
    if group == os.getpgrp() or (leader and (known is None or leader.started != known.started)):
        return False
    try:
        os.killpg(group, _signal.SIGKILL)
    except OSError:  # all gone, or one runs as somebody else
        return False
    return True


def _kill_one(row: ProcessRow, run: bytes | None) -> None:
    """End a process if it still is the one that was seen; with `run`, if it still carries that mark.

    Raises PermissionError.
    """
    try:
        pidfd = os.pidfd_open(row.pid)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno == ESRCH:
            return
        pidfd = -1  # no pidfds here
    try:
        now = read_row(row.pid)
        if now is None or now.dead or now.started != row.started:
            return
        if run is not None and not is_marked(read_environ(row.pid), run):
            return  # in an exec: the next look knows it again
        if pidfd < 0:
            os.kill(row.pid, _signal.SIGKILL)
        else:
            _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _remove(folders: list[bytes]) -> bool:
    """The kernel lets a folder go a moment after the last in it has ended."""
    deadline, pause = time.monotonic() + _REMOVE_S, _FIRST_PAUSE_S
    while not cgroup.remove(folders):
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
    return True
