"""Whether a loop is told that a descriptor can be read, switched from any thread.

The loop watches a descriptor of its own, behind which the real one is put or not: that is one system call
of a microsecond, where `add_reader` belongs to the loop's thread and wakes it. Invariant: after `disarm`
the loop is woken at most once more; after `arm` it is woken for what has come meanwhile.
"""

from __future__ import annotations

import functools
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["EpollStandby", "LoopStandby", "Standby", "standby"]


class EpollStandby:
    """By an epoll set inside the loop's. `arm`: from now on the loop calls `ready` while there is something
    to read; `disarm`: it does not."""

    __slots__ = ("_loop", "_set", "arm", "disarm")

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, ready: Callable[[], None]) -> None:
        self._loop = loop
        self._set = select.epoll(1)
        self._set.register(fd, select.EPOLLIN)
        loop.add_reader(self._set.fileno(), ready)
        # Of every call, so without a frame of Python in between.
        self.arm: Callable[[], None] = functools.partial(self._set.modify, fd, select.EPOLLIN)
        # The end of the peer is told in any case, but this way once only.
        self.disarm: Callable[[], None] = functools.partial(self._set.modify, fd, select.EPOLLONESHOT)

    def hush(self) -> None:
        """On the loop: it was woken although it is disarmed."""
        self._set.poll(0, 1)

    def close(self) -> None:
        """On the loop, and before the descriptor is closed: watch no more."""
        self._loop.remove_reader(self._set.fileno())
        self._set.close()


class LoopStandby:
    """By the loop's own means, where there is no epoll: right, and slower by a wake-up of the loop."""

    __slots__ = ("_fd", "_is_armed", "_is_closed", "_loop", "_ready")

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, ready: Callable[[], None]) -> None:
        self._loop = loop
        self._fd = fd
        self._ready = ready
        self._is_armed = True
        self._is_closed = False
        loop.add_reader(fd, ready)

    def arm(self) -> None:
        self._is_armed = True
        self._loop.call_soon_threadsafe(self._watch)

    def disarm(self) -> None:
        self._is_armed = False

    def hush(self) -> None:
        self._loop.remove_reader(self._fd)

    def close(self) -> None:
        self._is_closed = True
        self._loop.remove_reader(self._fd)

    def _watch(self) -> None:
        if self._is_armed and not self._is_closed:
            self._loop.add_reader(self._fd, self._ready)


Standby = EpollStandby | LoopStandby


def standby(loop: asyncio.AbstractEventLoop, fd: int, ready: Callable[[], None]) -> Standby:
    """One that is armed. Called on the loop. Raises OSError."""
    return (EpollStandby if hasattr(select, "epoll") else LoopStandby)(loop, fd, ready)
