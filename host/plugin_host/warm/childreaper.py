"""The reaper of a child of the forkserver's: the host sees it end, the forkserver says how.

Invariant: the forkserver reaps it when it is asked to, which is after the exit was seen here; until then
no other process can have its number. A forkserver that is gone, or does not answer within ANSWER_S, costs
the status and nothing else; not even that where its children become the host's, which is the first process
of a container or a subreaper: then it is reaped here.
"""

from __future__ import annotations

import asyncio
import os
import signal
from resource import struct_rusage
from typing import TYPE_CHECKING, NamedTuple, Protocol

from plugin_host.exitstatus import ExitStatus
from plugin_host.reaper import PIDFD_SIGNAL_PROCESS_GROUP, Reaper

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ANSWER_S", "ChildReaper", "Parent", "Record"]

ANSWER_S = 2.0
_LOST = "the helper process that had started it, and would have known, died"


class Record(NamedTuple):
    """How a child ended, as of wait4."""

    status: int
    usage: struct_rusage


class Parent(Protocol):
    """Whose child it is."""

    def take(self, pid: int, told: Callable[[Record | None], None]) -> None:
        """Reap a child that has ended.

        `told` is called once, perhaps now, with None when it was not reaped; at the latest when this parent
        has ended.
        """

    def bury(self, child: ChildReaper) -> None:
        """End a child that nobody needs."""


class ChildReaper(Reaper):
    """Watches one child of `parent`; takes over its pidfd."""

    __slots__ = ("_is_answered", "_late", "_parent")

    def __init__(self, pid: int, pidfd: int, parent: Parent, on_exit: Callable[[ExitStatus], None]) -> None:
        self._parent: Parent | None = parent  # None once it was asked
        self._late: asyncio.TimerHandle | None = None
        self._is_answered = False
        super().__init__(pid, on_exit, pidfd=pidfd)

    @property
    def has_ended(self) -> bool:
        """From the moment that its parent was asked on."""
        return self._parent is None

    def send_group_signal(self, number: int) -> bool:
        """As a `Reaper` does; its number is its own until its parent was asked to reap it."""
        if self._parent is not None:
            return super().send_group_signal(number)
        try:
            signal.pidfd_send_signal(self._pidfd, number, None, PIDFD_SIGNAL_PROCESS_GROUP)
        except OSError:  # nobody there, not ours, or a kernel before 6.9
            return False
        return True

    def _look(self) -> None:
        """It has ended."""
        parent, self._parent = self._parent, None
        if parent is not None:
            self._loop.remove_reader(self._pidfd)
            self._late = self._loop.call_later(ANSWER_S, self._conclude, None)
            parent.take(self.pid, self._told)

    def _told(self, record: Record | None) -> None:
        if self._late is not None:
            self._late.cancel()
        self._is_answered = True
        self._conclude(record or self._inherited())

    def _conclude(self, record: Record | None) -> None:
        if self.status is not None:  # it was given up before
            if self._closed:
                self._close_pidfd()
        elif record is None:
            self._settle(ExitStatus.lost(_LOST))
        else:
            self._settle(ExitStatus.from_wait4(record.status, record.usage, sent=self._sent))

    def _inherited(self) -> Record | None:
        """How it ended, if it has become a child of this process; it is reaped then."""
        try:
            # By its number it might be another; that of a child which is not reaped is nobody else's.
            if os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            _, status, usage = os.wait4(self.pid, os.WNOHANG)
        except OSError:  # another's child; or a kernel before 5.4
            return None
        return Record(status, usage)

    def _close_pidfd(self) -> None:
        """Only when nobody has to be reaped by it any more."""
        if self._is_answered:
            super()._close_pidfd()
