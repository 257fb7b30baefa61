"""Larger pipes for the few programs that flood them.

A larger pipe lets a program write on while its output is passed on, which is worth a quarter of the
throughput. The system allows a user so many pages in all, and makes every new pipe tiny once they are used
up; so pipes grow when they are seen to be full, and only a few do at a time.
"""

from __future__ import annotations

import fcntl
import threading

__all__ = ["PipeSizes"]

_LARGE_BYTES = 1024 * 1024
_MOST_LARGE = 8


class PipeSizes:
    """Which pipes were made larger. Safe to use from any thread."""

    def __init__(self) -> None:
        self._large: set[int] = set()
        self._lock = threading.Lock()

    def enlarge(self, fd: int) -> None:
        """Make a pipe larger, if the system and the others allow it."""
        with self._lock:
            if len(self._large) >= _MOST_LARGE:
                return
            self._large.add(fd)
        try:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _LARGE_BYTES)
        except (AttributeError, OSError):
            pass  # not Linux, not a pipe, or more than the system allows

    def forget(self, fd: int) -> None:
        """It is about to be closed."""
        with self._lock:
            self._large.discard(fd)
