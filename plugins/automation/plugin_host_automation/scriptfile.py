"""The file of a script while it runs: for its user alone, and gone afterwards.

It lies in a folder of its own that belongs to the plugin, so nobody can put anything else in its place.
Invariant: at no time can anybody but root and the script's user read it; a folder that a killed plugin left
behind is removed by the next that runs a script.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from plugin_host_sdk.action import Identity

__all__ = ["ScriptFile"]

_PREFIX = "plugin-host-script-"
_NAME = "script"
_ATTEMPTS = 20


class ScriptFile:
    """A file of mode 0700 that holds `data`; `path` while the context is entered. Raises OSError."""

    def __init__(self, data: bytes, identity: Identity | None, folder: str | None) -> None:
        self._data = data
        self._identity = identity
        self._base = folder or tempfile.gettempdir()
        self._folder = ""
        self._fd = -1

    def __enter__(self) -> str:
        _clear(self._base)
        self._make()
        try:
            self._write()
            if self._identity is not None:
                os.fchmod(self._fd, 0o711)  # to be entered by its user, and read by nobody
        except BaseException:
            self._remove()
            raise
        return os.path.join(self._folder, _NAME)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _make(self) -> None:
        """Make a folder, and lock it, which says that it is in use."""
        for _ in range(_ATTEMPTS):
            folder = tempfile.mkdtemp(prefix=_PREFIX, dir=self._base)
            try:
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # somebody took it for left behind, in the moment before it was locked
            if _lock(fd) and os.fstat(fd).st_nlink:
                self._folder, self._fd = folder, fd
                return
            os.close(fd)
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def _write(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(_NAME, flags, 0o600, dir_fd=self._fd)
        try:
            view = memoryview(self._data)
            while view:
                view = view[os.write(fd, view) :]
            if self._identity is not None:
                os.fchown(fd, self._identity.uid, self._identity.gid)
            os.fchmod(fd, 0o700)
        finally:
            os.close(fd)

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _clear(base: str) -> None:
    """Remove the folders of plugins that were killed; those of others, and in use, are left."""
    for path in _folders(base):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # somebody else has just done it
        try:
            if _lock(fd):  # else its script runs
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _folders(base: str) -> Iterator[str]:
    with os.scandir(base) as entries:
        for entry in entries:
            if not entry.name.startswith(_PREFIX):
                continue
            try:
                if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                    yield entry.path
            except OSError:
                continue
