"""The file that a plugin's faulthandler writes stacks into: without a name, and the host's to read.

Owns one descriptor. The plugin inherits a copy; what it writes there costs memory of its own and is read
up to a bound. Not a pipe, which nobody empties while nobody asks, and which would block a writer.
"""

from __future__ import annotations

import fcntl
import os
import tempfile

__all__ = ["DumpFile"]

_READ_BYTES = 1024 * 1024


class DumpFile:
    """`fd` is what the plugin is given."""

    __slots__ = ("fd",)

    def __init__(self) -> None:
        """Raises OSError."""
        self.fd = _open()
        # Who was emptied is written from its start again, whoever moved the offset that both share.
        fcntl.fcntl(self.fd, fcntl.F_SETFL, fcntl.fcntl(self.fd, fcntl.F_GETFL) | os.O_APPEND)

    def empty(self) -> None:
        """Forget what was written."""
        os.ftruncate(self.fd, 0)

    def size(self) -> int:
        """Bytes that are there."""
        return os.fstat(self.fd).st_size

    def read(self) -> str:
        """What is there, its first 1 MiB."""
        return os.pread(self.fd, _READ_BYTES, 0).decode("utf-8", "backslashreplace")

    def close(self) -> None:
        """Give the descriptor back. A second call does nothing."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)


def _open() -> int:
    if hasattr(os, "memfd_create"):
        try:
            return os.memfd_create("plugin-host-stacks", os.MFD_CLOEXEC)
        except OSError:  # forbidden here; a file does as well
            pass
    fd, path = tempfile.mkstemp(prefix="plugin-host-stacks-")
    os.unlink(path)
    return fd
