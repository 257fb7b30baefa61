"""The plugin's end of the wire: the descriptors it was given, moved out of everyone's way.

`claim` runs before any author code. It duplicates descriptors 0 and 1 to private ones above 2 that no
child inherits, then points 0 at the null device and 1 at standard error, so that neither a stray print
nor a chatty child can reach the wire.
"""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Channel", "claim"]

_READ_BYTES = 64 * 1024
# Made when this is imported: a forked process shares the pages that no message of its own has reached.
_ready = [bytearray(_READ_BYTES)]


class Channel:
    """Blocking reads and writes. One thread reads at a time, and one writes."""

    __slots__ = ("_buffer", "_buffers", "_view", "read_fd", "write_fd")

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd = read_fd
        self.write_fd = write_fd
        self._buffer = _ready.pop() if _ready else bytearray(_READ_BYTES)
        self._buffers = [self._buffer]
        self._view = memoryview(self._buffer)

    def read(self) -> memoryview:
        """What has arrived, valid until the next read; empty at end of file or when the peer is gone."""
        try:
            return self._view[: os.readv(self.read_fd, self._buffers)]
        except OSError:
            return self._view[:0]

    def write(self, piece: Sequence[bytes | memoryview]) -> None:
        """Write all of it. Raises OSError when the peer is gone."""
        if len(piece) > 1:
            written = os.writev(self.write_fd, piece)
            if written == sum(map(len, piece)):
                return
            piece = _rest(piece, written)
        for buffer in piece:
            self.write_one(buffer)

    def write_one(self, buffer: bytes | memoryview) -> None:
        """Write all of one buffer. Raises OSError when the peer is gone."""
        written = os.write(self.write_fd, buffer)
        if written < len(buffer):
            rest = memoryview(buffer)[written:]
            while rest:
                rest = rest[os.write(self.write_fd, rest) :]

    def close(self) -> None:
        """Close both directions; the host sees end of file."""
        fds, self.read_fd, self.write_fd = {self.read_fd, self.write_fd} - {-1}, -1, -1
        for fd in fds:
            os.close(fd)
        if fds:
            _ready.append(self._buffer)


def claim() -> Channel:
    """Take the wire from descriptors 0 and 1."""
    same = _is_same(0, 1)
    read_fd = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    write_fd = read_fd if same else fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
    for fd in {read_fd, write_fd}:
        os.set_blocking(fd, True)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # standard error is closed
        os.dup2(null, 1)
    os.close(null)
    return Channel(read_fd, write_fd)


def _rest(piece: Sequence[bytes | memoryview], written: int) -> list[memoryview]:
    """The buffers of `piece` behind its first `written` bytes."""
    rest = []
    for buffer in piece:
        if written < len(buffer):
            rest.append(memoryview(buffer)[written:])
        written = max(0, written - len(buffer))
    return rest


def _is_same(a: int, b: int) -> bool:
    first, second = os.fstat(a), os.fstat(b)
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
