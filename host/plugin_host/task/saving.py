"""Writing what arrives to a file that is there whole or not at all.

Invariant: the destination is as it was until every byte is on the disk and was found right; nobody but the
owner can read what is not yet there; what could not be finished is removed; a link, a device or whatever
else is no regular file is neither followed nor replaced.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import stat
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Protocol

    class Sized(Protocol):
        """What is saved."""

        size: int

        def __aiter__(self) -> AsyncIterator[bytes]: ...


__all__ = ["save"]

# Written together: a thread for every piece of the wire would cost more than the writing.
_BLOCK_BYTES = 1 << 20
# Of the name, in that of the file beside it: names have 255 bytes at most.
_NAME_BYTES = 100


async def save(
    source: Sized,
    dest: str | os.PathLike[str],
    mode: int,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """Write what `source` gives to `dest`; see `Artifact.save`."""
    target = os.fspath(dest)
    draft = _Draft(target)
    try:
        await asyncio.to_thread(draft.open)
        done = 0
        async for block in _blocks(source):
            await asyncio.to_thread(draft.write, block)
            done += sum(map(len, block))
            if on_progress is not None:
                on_progress(done, source.size)
        await asyncio.to_thread(draft.finish, mode)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(draft.discard))
        raise


async def _blocks(source: Sized) -> AsyncIterator[list[bytes]]:
    block: list[bytes] = []
    size = 0
    async for data in source:
        block.append(data)
        size += len(data)
        if size >= _BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


class _Draft:
    """The file beside the destination. A thread may still be at work when it is to be discarded."""

    def __init__(self, target: str) -> None:
        folder, name = os.path.split(target)
        self._target = target
        self._path = os.path.join(folder, f".{_begin(name)}.{secrets.token_hex(6)}.part")
        self._lock = threading.Lock()
        self._fd = -1
        self._is_discarded = False

    def open(self) -> None:
        _check_replaceable(self._target)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._lock:
            if not self._is_discarded:
                self._fd = os.open(self._path, flags, 0o600)

    def write(self, pieces: list[bytes]) -> None:
        data = memoryview(b"".join(pieces))
        with self._lock:
            while data and not self._is_discarded:
                data = data[os.write(self._fd, data) :]

    def finish(self, mode: int) -> None:
        with self._lock:
            if self._is_discarded:
                return
            os.fchmod(self._fd, 0o600 | mode & 0o755)
            os.fsync(self._fd)
            _check_replaceable(self._target)
            os.replace(self._path, self._target)
            self._close()

    def discard(self) -> None:
        with self._lock:
            self._is_discarded = True
            if self._fd >= 0:
                self._close()
                os.unlink(self._path)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


def _check_replaceable(target: str) -> None:
    """Raise OSError for what is there and is no regular file."""
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder: name the file in it", target)
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "it is a symbolic link, and those are not followed", target)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file", target)


def _begin(name: str) -> str:
    name = name[:_NAME_BYTES]
    while len(os.fsencode(name)) > _NAME_BYTES:
        name = name[:-1]
    return name
