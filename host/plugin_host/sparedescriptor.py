"""One descriptor in reserve, for what a host has to do also when it may open no others.

Who stops a plugin looks at the processes of the machine, and without that would leave some of them behind.
Invariant: there is one while somebody holds it, or it is missing because others took all there are.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SPARE", "SpareDescriptor"]

_T = TypeVar("_T")

_SHORT = (errno.EMFILE, errno.ENFILE)


class SpareDescriptor:
    """Held between `hold` and `release`, by any number."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._fd = -1

    def hold(self) -> None:
        """Have it, if there is one to have."""
        with self._lock:
            self._holders += 1
            self._open()

    def release(self) -> None:
        """The last to do so gives it back."""
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._close()

    def lent_to(self, work: Callable[[], _T]) -> _T:
        """What `work` returns, which opens one descriptor at a time and closes it again.

        It is called twice when there was none for it. Raises what it does.
        """
        try:
            return work()
        except OSError as error:
            if error.errno not in _SHORT or not self._holders:
                raise
        with self._lock:
            self._close()
            try:
                return work()
            finally:
                if self._holders:
                    self._open()

    def _open(self) -> None:
        if self._fd < 0:
            try:
                self._fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                pass  # there are none: who has the next free one is a matter of luck

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


SPARE = SpareDescriptor()
"""That of this process."""
