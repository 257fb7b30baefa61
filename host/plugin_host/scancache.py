"""Files in the user's cache folder that hold what was found, one for each folder that was looked into.

Owns where they are, who may have written them, and that each is whole; what they say is their user's
matter. Invariants: a file is used only if this user wrote it where nobody else can; it is replaced by
renaming, so no reader meets half a file; whatever fails is logged for debugging and costs only time.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import time
from binascii import crc32
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .version import VERSION

__all__ = ["MOST_BYTES", "MOST_FILES", "ScanCache", "cache_folder"]

MOST_FILES = 64
"""More are not kept; the oldest goes first."""

MOST_BYTES = 4 * 1024 * 1024
"""A larger file is not read; it would take thousands of distributions."""

_OTHERS_MAY_WRITE = 0o022
_ABANDONED_S = 60.0
_ENDING, _UNFINISHED = f".{sys.implementation.cache_tag}.json", ".new"

_log = logging.getLogger(__name__)


def cache_folder(environ: Mapping[str, str] | None = None) -> str | None:
    """The absolute path of the folder in the user's cache folder; None for a user without a home."""
    environ = os.environ if environ is None else environ
    base = environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the XDG rules call a relative one invalid
        base = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".cache")
    return os.path.join(base, "plugin-host") if os.path.isabs(base) else None


class ScanCache:
    """The files in `folder`, which is made when there is something to keep."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def load(self, path: str) -> bytes | None:
        """What was stored last for `path`, if it is there, whole, this version's and this user's own."""
        try:
            with _opened_folder(self._folder) as folder:
                content = _read(_name_of(path), folder)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.debug("what is remembered in %s is not used: %s", self._folder, error)
            return None
        head, _, data = content.partition(b"\n")
        if head != _head(data):
            _log.debug("what is remembered of %r is of another version, or damaged", path)
            return None
        return data

    def store(self, path: str, data: bytes) -> None:
        """Keep `data` for `path`, in place of what was there, as far as that is possible."""
        if len(data) >= MOST_BYTES:
            return
        try:
            _make(self._folder)
            with _opened_folder(self._folder) as folder:
                _replace(_name_of(path), folder, _head(data) + b"\n" + data)
                _tidy(folder)
        except (OSError, ValueError) as error:
            _log.debug("nothing is remembered in %s: %s", self._folder, error)


def _name_of(path: str) -> str:
    """Short, and the same in every process; what it is for must be said in the data too."""
    return f"{crc32(os.fsencode(path)):08x}{_ENDING}"


def _head(data: bytes) -> bytes:
    return f"plugin-host {VERSION} {crc32(data):08x}".encode()


def _make(folder: str) -> None:
    """The folder, and the user's cache folder around it, both for this user alone.

    Not what these lie in: a home that is not there is not meant to be, as that of many a service. Not in
    the home of another, where root may be at work. Raises OSError.
    """
    if os.path.isdir(folder):
        return
    around = os.path.dirname(folder)
    above = around if os.path.lexists(around) else os.path.dirname(around)
    owner = os.stat(above).st_uid
    if owner not in (0, os.geteuid()):
        raise PermissionError(f"{above} belongs to the user {owner}")
    for path in (around, folder):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass


@contextmanager
def _opened_folder(folder: str) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_owner(descriptor, folder)
        yield descriptor
    finally:
        os.close(descriptor)


def _check_owner(descriptor: int, name: str) -> os.stat_result:
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid():
        raise PermissionError(f"{name} belongs to the user {found.st_uid}")
    if found.st_mode & _OTHERS_MAY_WRITE:
        raise PermissionError(f"others may write to {name}")
    return found


def _read(name: str, folder: int) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        found = _check_owner(descriptor, name)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
            raise ValueError(f"{name} is no file, or too large")
        with open(descriptor, "rb", buffering=0, closefd=False) as stream:
            return stream.read(MOST_BYTES)
    finally:
        os.close(descriptor)


def _replace(name: str, folder: int, content: bytes) -> None:
    """Writes beside it and renames; of two who do so at once the later wins."""
    unfinished = f"{name}.{os.getpid()}.{time.monotonic_ns()}{_UNFINISHED}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(unfinished, flags, 0o600, dir_fd=folder)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
        os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(unfinished, dir_fd=folder)
        raise


def _tidy(folder: int) -> None:
    """Remove what a killed writer left, and the oldest files beyond the most that are kept."""
    kept = []
    for name in os.listdir(folder):
        try:
            changed = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
            if name.endswith(_UNFINISHED) and changed < time.time() - _ABANDONED_S:
                os.unlink(name, dir_fd=folder)
            elif name.endswith(".json"):
                kept.append((changed, name))
        except FileNotFoundError:  # another has tidied as well
            pass
    for _, name in sorted(kept)[:-MOST_FILES]:
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            pass
