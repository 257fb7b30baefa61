"""A child's pid from its spawn to its reaping: noticing the exit, taking the status, sending signals.

Owns the pid: nobody else waits for it, so until the status was taken no other process can have its
number. No thread is used. Where the system has pidfds the loop wakes up once, at the exit; elsewhere a
timer looks at growing intervals.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from . import fork
from .exitstatus import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PIDFD_SIGNAL_PROCESS_GROUP", "Reaper"]

# Only without pidfd: quick for a child that fails at once, cheap for one that stays.
_FIRST_LOOK_S = 0.001
_LONGEST_LOOK_S = 0.05

PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2
"""Since Linux 6.9: the signal goes to the process group whose number is the pidfd's process."""


class Reaper:
    """Watches one child process in the running loop.

    `on_exit` is called with the status before anybody who waits for `exited` learns of it. `memory_floor`
    is explained at `ExitStatus.from_wait4`, `sandboxed` at `ExitStatus.from_sandbox`. A `pidfd` that is
    there already is taken over.
    """

    __slots__ = (
        "_closed",
        "_exited",
        "_generation",
        "_loop",
        "_memory_floor",
        "_on_exit",
        "_pidfd",
        "_sandboxed",
        "_sent",
        "pid",
        "status",
    )

    def __init__(
        self,
        pid: int,
        on_exit: Callable[[ExitStatus], None],
        *,
        memory_floor: int = 0,
        sandboxed: bool = False,
        pidfd: int = -1,
    ) -> None:
        self.pid = pid
        self._generation = fork.generation
        self.status: ExitStatus | None = None
        self._on_exit = on_exit
        self._memory_floor = memory_floor
        self._sandboxed = sandboxed
        self._sent: set[int] = set()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[ExitStatus] = self._loop.create_future()
        self._pidfd = pidfd if pidfd >= 0 else _open_pidfd(pid)
        if self._pidfd >= 0:
            self._loop.add_reader(self._pidfd, self._look)
        else:
            self._look_again_after(_FIRST_LOOK_S)

    @property
    def exited(self) -> asyncio.Future[ExitStatus]:
        """Done when the process is. A waiter that was cancelled with it does not spoil it for others."""
        if self._exited.cancelled():
            self._exited = self._loop.create_future()
            if self.status is not None:
                self._exited.set_result(self.status)
        return self._exited

    @property
    def has_ended(self) -> bool:
        """Whether the end was seen; the status may still be on its way from whoever knows it."""
        return self.status is not None

    @property
    def is_foreign(self) -> bool:
        """Whether it is a child of the process that this one was forked from."""
        return fork.generation != self._generation

    def send_signal(self, number: int) -> bool:
        """Signal the process; False when it was reaped, runs as somebody else or is a forked parent's."""
        if self.status is not None or self.is_foreign:
            return False
        self.note_sent(number)
        try:
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
            else:
                os.kill(self.pid, number)
        except OSError:  # reaped behind our back, or not ours to signal
            return False
        return True

    def send_group_signal(self, number: int) -> bool:
        """Signal every process in the group that the child leads, even after it was reaped.

        The kernel does this in one step, so a group that forks faster than anybody can list its members
        cannot outrun it. False when there is nobody, or when the system cannot do it safely: the number
        of a group may be in other hands once its leader was reaped.
        """
        if self.is_foreign:
            return False
        try:
            if self.status is None:
                self.note_sent(number)
                os.killpg(self.pid, number)
            elif self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number, None, PIDFD_SIGNAL_PROCESS_GROUP)
            else:
                return False
        except OSError:  # nobody there, not ours, or a kernel before 6.9
            return False
        return True

    def note_sent(self, number: int) -> None:
        """Somebody on our side signalled this process, so that the exit status says who it was."""
        self._sent.add(number)

    def close(self) -> None:
        """Give the pidfd back: now, or when the process that still runs has been reaped."""
        self._closed = True
        if self.status is not None:
            self._close_pidfd()

    def _look(self) -> None:
        status = self._take_status()
        if status is None:
            return
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
        self._settle(status)

    def _settle(self, status: ExitStatus) -> None:
        """It has been reaped."""
        self.status = status
        if self._closed:
            self._close_pidfd()
        try:
            self._on_exit(status)
        finally:
            if not self._exited.done():
                self._exited.set_result(status)

    def _take_status(self) -> ExitStatus | None:
        try:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        except ChildProcessError:
            return ExitStatus.lost()
        if pid == 0:
            return None
        if self._sandboxed:
            return ExitStatus.from_sandbox(status, sent=self._sent)
        return ExitStatus.from_wait4(status, usage, sent=self._sent, memory_floor=self._memory_floor)

    def _look_again_after(self, pause: float) -> None:
        self._loop.call_later(pause, self._poll, min(pause * 2, _LONGEST_LOOK_S))

    def _poll(self, pause: float) -> None:
        self._look()
        if self.status is None:
            self._look_again_after(pause)

    def _close_pidfd(self) -> None:
        if self._pidfd >= 0:
            fd, self._pidfd = self._pidfd, -1
            os.close(fd)


def _open_pidfd(pid: int) -> int:
    """A pidfd, or -1 where there are none (not Linux, an old kernel, a sandbox, no descriptor left)."""
    if not hasattr(os, "pidfd_open"):
        return -1
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1
