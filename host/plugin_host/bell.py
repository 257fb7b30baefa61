"""Wakes a thread that polls descriptors: one more of them, which others make readable."""

from __future__ import annotations

import os
import sys

__all__ = ["Bell"]

_STROKE = (1).to_bytes(8, sys.byteorder)  # what an eventfd takes; a pipe takes anything
_READ_BYTES = 4096


class Bell:
    """Readable at `fd` from `ring` to `quiet`; any thread may ring. Raises OSError."""

    __slots__ = ("_write_fd", "fd")

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            self.fd = self._write_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        else:
            self.fd, self._write_fd = os.pipe()
            os.set_blocking(self.fd, False)
            os.set_blocking(self._write_fd, False)

    def ring(self) -> None:
        """Wake who polls, or polls next."""
        try:
            os.write(self._write_fd, _STROKE)
        except BlockingIOError:
            pass  # it rings already

    def quiet(self) -> None:
        """It has been heard."""
        try:
            os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Give the descriptors back. A second call does nothing."""
        if self.fd >= 0:
            for fd in {self.fd, self._write_fd}:
                os.close(fd)
            self.fd = self._write_fd = -1
