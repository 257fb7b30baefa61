"""Reads bytes from a descriptor without keeping the loop waiting, no faster than they are taken.

What can be waited for (terminals, pipes, sockets) is read by the loop itself when something is there. The
descriptor is not made non-blocking, because other processes share that; one of our own is. What cannot be
waited for (files) is always ready and is read in larger pieces by a thread. Invariant: once the iteration
is left nothing more is read, so that what is typed ahead stays for the next program.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections import deque
from collections.abc import AsyncGenerator

from .failure import ReadFailed

__all__ = ["pieces"]

_PIECE_BYTES = 64 * 1024
_FILE_PIECE_BYTES = 256 * 1024
_MOST_PIECES = 4


async def pieces(fd: int) -> AsyncGenerator[bytes, None]:
    """What can be read from `fd`, up to its end. Raises ReadFailed."""
    reading = _Reading(fd)
    try:
        waits = reading.begin()
        while data := await (reading.next() if waits else _read_in_thread(fd)):
            yield data
    except OSError as error:
        raise ReadFailed(f"cannot read stdin: {error.strerror}") from None
    finally:
        reading.end()


class _Reading:
    """Reads ahead by a few pieces, in the loop."""

    def __init__(self, fd: int) -> None:
        self._fd = _own(fd)
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[bytes | OSError] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._is_watched = False
        self._has_ended = False

    def begin(self) -> bool:
        """Start to read; False for what cannot be waited for."""
        try:
            self._watch()
        except PermissionError:
            return False
        return True

    def end(self) -> None:
        self._unwatch()
        os.close(self._fd)

    async def next(self) -> bytes:
        """The next piece, b"" at the end. Raises OSError."""
        while not self._pieces:
            self._arrived = self._loop.create_future()
            await self._arrived
        piece = self._pieces.popleft()
        if not self._is_watched and not self._has_ended and len(self._pieces) < _MOST_PIECES // 2:
            self._watch()
        if isinstance(piece, OSError):
            raise piece
        return piece

    def _watch(self) -> None:
        self._loop.add_reader(self._fd, self._ready)
        self._is_watched = True

    def _unwatch(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._fd)

    def _ready(self) -> None:
        piece = _read_now(self._fd)
        if piece is None:
            return
        self._pieces.append(piece)
        self._has_ended = not isinstance(piece, bytes) or not piece
        if self._has_ended or len(self._pieces) >= _MOST_PIECES:
            self._unwatch()
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)


def _own(fd: int) -> int:
    """A descriptor of the same pipe or terminal that reading never blocks; of all else a copy.

    Another process may read what this one was told is there.
    """
    try:
        if os.isatty(fd) or stat.S_ISFIFO(os.fstat(fd).st_mode):
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
            return os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:  # not on this system, or another user's
        pass
    return os.dup(fd)


def _read_now(fd: int) -> bytes | OSError | None:
    """What is there, the error, or None when another process that shares `fd` was faster."""
    try:
        return os.read(fd, _PIECE_BYTES)
    except BlockingIOError:
        return None
    except OSError as error:
        # What a terminal says when it is gone.
        return b"" if error.errno == errno.EIO else error


async def _read_in_thread(fd: int) -> bytes:
    return await asyncio.get_running_loop().run_in_executor(None, os.read, fd, _FILE_PIECE_BYTES)
