"""Keeping a terminal that its program has closed, and that it may open again.

A terminal ends for its reader when nobody holds its other end, and hangs up when the reader closes it then.
A program that closes its descriptors and runs on, as daemons do, must not be ended by that.
"""

from __future__ import annotations

import os
import threading

from plugin_host_sdk.errors import TerminalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .terminal import Terminal

__all__ = ["Hold"]


class Hold:
    """Holds the other end of one terminal while its program runs, once that is needed."""

    __slots__ = ("_fd", "_is_released", "_lock", "_terminal")

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()
        self._fd = -1
        self._is_released = False

    def take(self) -> bool:
        """The terminal has ended for its reader; whether it goes on."""
        with self._lock:
            if self._is_released or self._fd >= 0:
                return False
            try:
                self._fd = self._terminal.open_slave()
            except TerminalError:
                return False
            return True

    def release(self) -> None:
        """The program has ended: so does the terminal, when nobody else holds it."""
        with self._lock:
            self._is_released = True
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
