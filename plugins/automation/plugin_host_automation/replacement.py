"""A file that takes the place of another in one step, or does not.

The new file grows beside the old one under a name of its own, closed to everybody else, and is renamed
once it is complete and on the disk. Invariants: whoever opens the name finds the old file or the new one,
whole; what a plugin that was killed left behind is removed by the next who writes the same file; two never
write it at once; a link is neither followed nor replaced.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import ActionFailed

from .place import open_folder

if TYPE_CHECKING:
    from types import TracebackType

    from plugin_host_sdk.action import Identity

    from .place import Place

__all__ = ["Replacement", "part_name"]

_ATTEMPTS = 20


def part_name(name: str) -> str:
    """What the file called `name` is called while it is written."""
    return f".plugin-host-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.part"


class Replacement:
    """A file in the making; as a context manager it is thrown away unless it was committed.

    Raises ActionFailed, whose data hold `errno`, and retryable when somebody else writes the same file.
    """

    def __init__(
        self, place: Place, *, mode: int, owner: Identity | None = None, parents: bool = False
    ) -> None:
        self.size = 0
        self._sum = hashlib.sha256()
        self._place = place
        self._mode = mode
        self._owner = owner
        self._part = part_name(place.name)
        self._fd = -1
        self._folder = open_folder(place.folders, make=parents, owner=owner)
        try:
            self.replaces = self._look()
            self._fd = self._open()
        except BaseException as error:
            os.close(self._folder)
            if isinstance(error, OSError):
                raise self._failed(error) from None
            raise

    def __enter__(self) -> Replacement:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def sha256(self) -> str:
        """Of what was written, in hex digits."""
        return self._sum.hexdigest()

    def write(self, data: bytes) -> None:
        """Add to it, all of `data`."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            raise self._failed(error) from None
        self._sum.update(data)
        self.size += len(data)

    def commit(self) -> None:
        """Put it in its place: the name means it from now on, also after a loss of power."""
        try:
            if self._owner is not None:
                os.fchown(self._fd, self._owner.uid, self._owner.gid)
            os.fchmod(self._fd, self._mode)  # behind the owner, whose change takes away some of it
            os.fsync(self._fd)
            self.replaces = self._look()
            os.rename(self._part, self._place.name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError as error:
            raise self._failed(error) from None
        os.close(self._fd)
        self._fd = -1
        self._sync_folder()

    def close(self) -> None:
        """Throw away what was not committed."""
        if self._folder < 0:
            return
        if self._fd >= 0:
            self._remove()
            os.close(self._fd)
            self._fd = -1
        os.close(self._folder)
        self._folder = -1

    def _look(self) -> bool:
        """Whether there is a file of that name. Raises ActionFailed for anything else."""
        try:
            found = os.stat(self._place.name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        if stat.S_ISREG(found.st_mode):
            return True
        if stat.S_ISLNK(found.st_mode):
            what, number = "a symbolic link, and those are not followed", errno.ELOOP
        else:
            is_folder = stat.S_ISDIR(found.st_mode)
            what, number = ("a folder", errno.EISDIR) if is_folder else ("no regular file", errno.EINVAL)
        data = {"errno": number, "path": self._place.path}
        raise ActionFailed(f"{self._place.path} is {what}", data=data)

    def _open(self) -> int:
        """The new file, empty, and locked for as long as it is written."""
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        for _ in range(_ATTEMPTS):
            try:
                fd = os.open(self._part, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._folder)
            except FileExistsError:
                self._clear()
                continue
            if _lock(fd) and os.fstat(fd).st_nlink:
                return fd
            os.close(fd)  # somebody took it for left behind, in the moment before it was locked
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def _clear(self) -> None:
        """Remove what a killed one left behind. Raises ActionFailed if somebody writes it now."""
        try:
            fd = os.open(
                self._part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._folder
            )
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EACCES, errno.ENXIO):
                raise
            self._remove()  # nobody of ours makes such a thing
            return
        try:
            if not _lock(fd):
                raise ActionFailed(
                    f"{self._place.path} is being written by somebody else",
                    data={"errno": errno.EBUSY, "path": self._place.path},
                    retryable=True,
                )
            self._remove()
        finally:
            os.close(fd)

    def _remove(self) -> None:
        try:
            os.unlink(self._part, dir_fd=self._folder)
        except FileNotFoundError:
            pass

    def _sync_folder(self) -> None:
        try:
            folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._folder)
        except OSError:
            return  # one that may be entered and not read: the file is in its place all the same
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _failed(self, error: OSError) -> ActionFailed:
        data = {"errno": error.errno, "path": self._place.path}
        return ActionFailed(f"{self._place.path} cannot be written: {error.strerror}", data=data)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
