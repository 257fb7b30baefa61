"""The keeper's life: wait until the host says goodbye or is gone, and in the latter case clear away.

The host's end is taken from its process, watched through a pidfd. The pipe alone would not do: a forked
child of the host's program may hold its other end open long after the host, and somebody may close it
while the host lives on. Invariant: nothing of the host's is held but the pipe.
"""

from __future__ import annotations

import os
import select
import sys

from .census import Census
from .clearance import clear
from .dictation import Dictation
from .procfs import read_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import NoReturn
else:
    import _signal  # see clearance

__all__ = ["Watch", "main"]

_PIPE = 0
_READ_BYTES = 64 * 1024
# Only without pidfds: how often it is seen whether the host is still the parent.
_LOOK_MS = 100
# The host decides when this process ends. What a terminal or a service manager sends to everybody is for
# the host and the plugins to obey.
_IGNORED = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGPIPE", "SIGALRM", "SIGUSR1", "SIGUSR2")
_NAME = b"plugin-keeper"


def main() -> NoReturn:
    """Serve one host until its end: `HOST_PID RUN` are the arguments, stdin is the pipe from it."""
    for name in _IGNORED:
        _signal.signal(getattr(_signal, name), _signal.SIG_IGN)
    _call_oneself(_NAME)
    host, run = int(sys.argv[1]), os.fsencode(sys.argv[2])
    row = read_row(host)
    if os.getppid() != host:
        row = None  # the host is gone, and its number may be another's
    watch = Watch(host, _PIPE)
    is_done = True
    if watch.outlive():
        _come_first()
        since, session = (row.started, row.session) if row else (0, 0)
        told = watch.told
        is_done = clear(Census(run, told.folders, told.sessions, since=since, host_session=session))
    os._exit(0 if is_done else 1)


def _come_first() -> None:
    """Among a thousand processes that fork there is no time for this one unless it goes before them."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, OSError):  # not privileged
        pass


def _call_oneself(name: bytes) -> None:
    """What `ps` and `top` show as the command."""
    try:
        with open("/proc/self/comm", "wb", buffering=0) as comm:
            comm.write(name)
    except OSError:
        pass


class Watch:
    """Waits for the end of the host, which is this process's parent, and listens to it on `pipe`.

    At the end of the pipe it closes it. `told` is what the host has said.
    """

    def __init__(self, host: int, pipe: int) -> None:
        self._host = host
        self._pipe = pipe
        self.told = Dictation()
        os.set_blocking(pipe, False)

    def outlive(self) -> bool:
        """Wait for the end; whether the host left without a goodbye."""
        pidfd = self._open_pidfd()
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        if pidfd >= 0:
            poll.register(pidfd, select.POLLIN)
        try:
            while self._is_needed(poll):
                poll.poll(None if pidfd >= 0 else _LOOK_MS)
        finally:
            if pidfd >= 0:
                os.close(pidfd)
        return not self.told.is_over

    def _is_needed(self, poll: select.poll) -> bool:
        """Whether the host is there and has not said goodbye; what it said last counts, too."""
        is_alive = os.getppid() == self._host
        if self._pipe >= 0 and not self._listen():
            poll.unregister(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
        return is_alive and not self.told.is_over

    def _open_pidfd(self) -> int:
        """A pidfd of the host, or -1. If the host is the parent afterwards, it is the host's."""
        try:
            return os.pidfd_open(self._host)
        except (AttributeError, OSError):  # not here, or the host is gone, which is seen at once
            return -1

    def _listen(self) -> bool:
        """Read what there is; False when the other end is closed."""
        try:
            while data := os.read(self._pipe, _READ_BYTES):
                self.told.feed(data)
        except BlockingIOError:
            return True
        return False
