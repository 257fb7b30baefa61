"""Opening what is below some folders and nothing else, while others may change what lies there.

Every part of a path is looked up in the folder that was opened for the part before it, and never through a
link: links are read and followed here, so that what they lead to is held to the same rule. `..` goes back
to the folder one came from. So no change of names or links on the way can lead outside.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import InvalidPayload

from .refusal import not_a_file, outside, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plugin_host_sdk.types.task import ArtifactRequest, FolderRequest

__all__ = ["Reach", "path_of"]

_MOST_LINKS = 40  # the system's own number
# Without leave to list a folder one may still go through it, where the system knows how to say so.
_PASSING = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class Reach:
    """What lies below `roots`, absolute folders; None is everything. Paths are absolute, in bytes."""

    def __init__(self, roots: Sequence[str] | None) -> None:
        self._shown = () if roots is None else tuple(roots)
        named = ("/",) if roots is None else roots
        parts = [(os.fsencode(root), _parts(os.fsencode(root))) for root in named]
        self._roots = sorted(parts, key=lambda root: -len(root[1]))  # the innermost first

    def open_file(self, path: bytes) -> int:
        """A descriptor to read an ordinary file. Raises OSError, OutsideRoots, NotFile."""
        with self._walk(path) as walk:
            name = walk.name
            if name is None:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._check_file(os.stat(name, dir_fd=walk.fd, follow_symlinks=False), path)
            if path.endswith((b"/", b"/.")):  # which is a way into a folder
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            fd = os.open(name, _READING, dir_fd=walk.fd)
        try:
            self._check_file(os.fstat(fd), path)  # it may be another by now
        except BaseException:
            os.close(fd)
            raise
        return fd

    def open_folder(self, path: bytes) -> int:
        """A descriptor to list a folder. Raises OSError, OutsideRoots."""
        with self._walk(path) as walk:
            return os.open(walk.name or b".", _READING | os.O_DIRECTORY, dir_fd=walk.fd)

    def _check_file(self, status: os.stat_result, path: bytes) -> None:
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise not_a_file(path)

    def _walk(self, path: bytes) -> _Walk:
        walk = _Walk()
        try:
            self._enter(walk, path, path)
            while walk.todo:
                self._step(walk, path)
        except BaseException:
            walk.close()
            raise
        return walk

    def _step(self, walk: _Walk, path: bytes) -> None:
        part = walk.todo.pop()
        if part == b"..":
            if not walk.leave() and walk.root != b"/":
                raise outside(path, self._shown)
            return
        if stat.S_ISLNK(os.stat(part, dir_fd=walk.fd, follow_symlinks=False).st_mode):
            walk.links += 1
            if walk.links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            target = os.readlink(part, dir_fd=walk.fd)
            if target.startswith(b"/"):
                self._enter(walk, target, path)
            else:
                walk.todo += reversed(_parts(target))
        elif walk.todo:
            walk.folders.append(os.open(part, _PASSING | os.O_NOFOLLOW, dir_fd=walk.fd))
        else:
            walk.name = part

    def _enter(self, walk: _Walk, path: bytes, asked: bytes) -> None:
        """Begin anew at the root that holds `path`, with the rest of the way still to go."""
        parts = _parts(path) if path.startswith(b"/") else [b".."]
        for folder, root in self._roots:
            if parts[: len(root)] == root:
                walk.close()
                walk.root = folder if root else b"/"
                walk.folders.append(os.open(folder, _PASSING))
                walk.todo += reversed(parts[len(root) :])
                return
        raise outside(asked, self._shown)


class _Walk:
    """How far a way has been gone: the folders open on it, and at its end the last name.

    Without a name the end is the folder itself.
    """

    def __init__(self) -> None:
        self.root = b"/"
        self.folders: list[int] = []
        self.todo: list[bytes] = []  # the next is the last
        self.links = 0
        self.name: bytes | None = None

    @property
    def fd(self) -> int:
        return self.folders[-1]

    def leave(self) -> bool:
        """Go back by one; False at the root, where one stays."""
        if len(self.folders) == 1:
            return False
        os.close(self.folders.pop())
        return True

    def close(self) -> None:
        while self.folders:
            os.close(self.folders.pop())

    def __enter__(self) -> _Walk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def path_of(asked: ArtifactRequest | FolderRequest) -> bytes:
    """The path that is meant. Raises InvalidPayload for what is none."""
    path = asked.path.encode() if asked.raw is None else asked.raw
    if not path.startswith(b"/") or b"\0" in path:
        raise InvalidPayload(f"{shown(path)!r} is no absolute path")
    return path


def _parts(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]
