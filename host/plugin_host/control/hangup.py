"""Noticing that a client has closed a descriptor that nobody reads and that may never be written again.

A poller of its own: the loop's wakes for every byte that can be read, and here some are never read.
Invariant: each descriptor is told of once, and only while it is watched.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

__all__ = ["HangupWatch"]


class HangupWatch:
    """Calls what was given with a descriptor when its other end is closed. Ends with `close`."""

    def __init__(self) -> None:
        self._poller = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._poller.fileno(), self._look)

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        """Begin. To be followed by `forget` before the descriptor is closed."""
        self._poller.register(fd, 0)  # errors and the end of both directions are always told
        self._calls[fd] = call

    def forget(self, fd: int) -> None:
        """No longer; also when it was told of."""
        if self._calls.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def _look(self) -> None:
        for fd, _ in self._poller.poll(0):
            call = self._calls.get(fd)
            if call is not None:
                self.forget(fd)
                call()

    def close(self) -> None:
        """Watch nothing any more."""
        self._loop.remove_reader(self._poller.fileno())
        self._poller.close()
        self._calls.clear()
