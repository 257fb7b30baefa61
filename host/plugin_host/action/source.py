"""Where the data of an action comes from: bytes, a file by its path or open, or an iterator.

Files and iterators are read on a thread of their own, a piece at a time, and everything is hashed on its
way. Invariants: no more than one piece is in memory; a file that is of another size than it was is an
error, never a short upload; a source that keeps its reader waiting holds nothing else up.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from functools import partial
from typing import IO, Any

from plugin_host.errors import CallFailed

from .sourcethread import SourceThread

__all__ = ["Data", "Source", "open_source"]

Data = (
    bytes
    | bytearray
    | memoryview
    | str
    | os.PathLike[str]
    | IO[bytes]
    | AsyncIterable[bytes]
    | Iterable[bytes]
)
"""A text is the path of a file."""

_PIECE_BYTES = 256 * 1024
# What is hashed on the loop; more takes a thread.
_QUICK_BYTES = 64 * 1024


class Source:
    """Iterate over it once for its pieces. `size` is None where it is not known before."""

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        size: int | None,
        thread: SourceThread | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        self.size = size
        self._pieces = pieces
        self._thread = thread or SourceThread()
        self._close = close
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of what was given out, in hex digits."""
        return self._hash.hexdigest()

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """Raises CallFailed when there is less or more than `size`, and what the source raises."""
        left = self.size
        async for piece in self._pieces:
            if left is not None:
                left -= len(piece)
                if left < 0:
                    raise _changed(self.size)
            if len(piece) <= _QUICK_BYTES:
                self._hash.update(piece)
            else:
                await self._thread.do(partial(self._hash.update, piece))
            yield piece
        if left:
            raise _changed(self.size)

    async def close(self) -> None:
        """Close what was opened here, and a generator; a file as soon as no read of it goes on."""
        try:
            if isinstance(self._pieces, AsyncGenerator):
                await self._pieces.aclose()
        finally:
            self._thread.end(self._close)


def _changed(size: int | None) -> CallFailed:
    return CallFailed(f"the data is not of {size} bytes any more", name="action.failed")


async def open_source(data: Data, size: int | None = None) -> Source:
    """A source of whatever data is given; `size` is that of an iterator, if it is known.

    Raises OSError for a file that cannot be opened, TypeError for what is no data.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        view = memoryview(data).cast("B")
        return Source(_slices(view), len(view))
    if isinstance(data, AsyncIterable):
        return Source(aiter(data), size)
    thread = SourceThread()
    if isinstance(data, (str, os.PathLike)):
        return await _open_path(thread, data)
    if hasattr(data, "read"):
        return Source(_read(thread, data), await thread.do(partial(_size_of, data)), thread)
    if isinstance(data, Iterable):
        return Source(_steps(thread, data), size, thread)
    raise TypeError(f"data is bytes, a path, a file or an iterator of bytes, not {type(data).__name__}")


async def _open_path(thread: SourceThread, path: str | os.PathLike[str]) -> Source:
    opened: list[IO[bytes]] = []

    def open_file() -> int | None:
        opened.append(open(path, "rb"))  # noqa: SIM115
        return _size_of(opened[0])

    def close() -> None:
        for file in opened:
            file.close()

    try:
        size = await thread.do(open_file)  # a named pipe waits for its other end
    except BaseException:
        thread.end(close)
        raise
    return Source(_read(thread, opened[0]), size, thread, close)


def _size_of(file: Any) -> int | None:
    """What is left of a regular file; None for anything else."""
    try:
        found = os.fstat(file.fileno())
        return max(0, found.st_size - file.tell()) if stat.S_ISREG(found.st_mode) else None
    except (OSError, ValueError, AttributeError):  # not of the system
        return None


async def _slices(view: memoryview) -> AsyncIterator[bytes]:
    for start in range(0, len(view), _PIECE_BYTES):
        yield bytes(view[start : start + _PIECE_BYTES])


async def _read(thread: SourceThread, file: Any) -> AsyncIterator[bytes]:
    while piece := await thread.do(partial(file.read, _PIECE_BYTES)):
        yield piece
    if piece is None:
        raise BlockingIOError(errno.EAGAIN, "the file is in nonblocking mode, and has nothing to read now")


async def _steps(thread: SourceThread, data: Iterable[bytes]) -> AsyncIterator[bytes]:
    steps = iter(data)
    while (piece := await thread.do(partial(next, steps, None))) is not None:
        yield piece
