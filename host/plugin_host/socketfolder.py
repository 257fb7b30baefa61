"""The folder of a local socket: made when it is missing, looked at when it is there, and locked.

Invariants: a folder that was there keeps its mode and owner; nobody but its owner, root and this user can
put something else in place of a socket in it, and nobody else has led here; who could put another folder in
place of one on the way is told; one process at a time changes what stands in it, as far as all of them come
through here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import grp
import logging
import os
import pwd
import stat
import time
from typing import TYPE_CHECKING

from .access import name_of
from .errors import SocketError
from .wording import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_folder", "give", "locked", "made"]

_log = logging.getLogger("plugin_host.socket")
_LOCK_S = 2.0
_MOST_LINKS = 40
_OVERFLOW_UID = 65534
_PAUSE_S = 0.005


@contextlib.contextmanager
def made(folder: str, mode: int, gid: int | None = None) -> Iterator[None]:
    """See to it that `folder` exists for the body; what was made is removed again when the body raises.

    Folders that are made get exactly `mode`, and the group `gid` when the mode lets a group in.
    Raises SocketError for one that cannot be made, and for one that others may change.
    """
    new: list[str] = []
    try:
        for missing in _missing(folder):
            try:
                os.mkdir(missing, 0o700)
            except FileExistsError:  # another host starts at the same moment
                continue
            new.append(missing)
            if gid is not None and mode & 0o070:
                give(missing, gid, folder)
            os.chmod(missing, mode)  # the umask had its say in mkdir
        _check(folder)
        _tell_of_way(folder)
        yield
    except BaseException as error:
        for one in reversed(new):
            with contextlib.suppress(OSError):
                os.rmdir(one)
        if isinstance(error, OSError):
            text = f"{shown(error.filename or folder)}: cannot be made: {error.strerror}"
            raise SocketError(text, path=folder) from None
        raise


def check_folder(folder: str) -> None:
    """Raises SocketError as `made` would, as far as it can be seen without making anything."""
    missing = _missing(folder)
    if not missing:
        _check(folder)
        return
    parent = os.path.dirname(missing[0])
    _check_way(missing[0])
    if not os.path.isdir(parent) or not os.access(parent, os.W_OK | os.X_OK):
        text = f"cannot be made: {shown(parent)} is no folder that this user may write"
        raise SocketError(f"{shown(missing[0])}: {text}", path=folder)


def give(path: str, gid: int, place: str) -> None:
    """Give what was made at `path`, for a socket at `place`, to a group. Raises SocketError."""
    try:
        os.chown(path, -1, gid)
    except PermissionError:
        text = f"cannot be given to group {gid}, of which this process is no member"
        raise SocketError(f"{shown(place)}: {text}", path=place) from None


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Hold the folder's lock. Raises SocketError.

    The lock is on the folder itself, so that none is left behind. Whoever holds it has it for a
    millisecond; waiting for one that is stuck has an end.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SocketError(f"{shown(folder)}: {error.strerror}", path=folder) from None
    try:
        _lock(fd, folder)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, folder: str) -> None:
    end = time.monotonic() + _LOCK_S
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                text = f"another process has held the lock of this folder for {_LOCK_S:g} s (see lslocks)"
                raise SocketError(f"{shown(folder)}: {text}", path=folder) from None
            time.sleep(_PAUSE_S)
        except OSError as error:
            raise SocketError(f"{shown(folder)}: cannot be locked: {error.strerror}", path=folder) from None


def _missing(folder: str) -> list[str]:
    """The folders on the way to `folder` and itself that do not exist, the outermost first."""
    missing: list[str] = []
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing[::-1]


def _check(folder: str) -> None:
    """Raises SocketError when others may put another socket in place of one in `folder`."""
    _check_way(folder)
    found = _look(folder, follows=True)
    if not stat.S_ISDIR(found.st_mode):
        raise SocketError(f"{shown(folder)}: expected a folder, found something else", path=folder)
    if os.geteuid() != 0 and not _is_trusted(found.st_uid):
        text = f"this folder belongs to {name_of(found.st_uid)}, who could replace a socket in it"
        raise SocketError(f"{shown(folder)}: {text}; choose another folder", path=folder)
    if found.st_mode & stat.S_ISVTX:
        return
    others = found.st_mode & stat.S_IWOTH
    if others or (found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid, found.st_uid)):
        text = f"other users may replace a socket in this folder (mode {stat.S_IMODE(found.st_mode):04o})"
        hint = f"`chmod {'o' if others else 'g'}-w` it, or choose another folder"
        raise SocketError(f"{shown(folder)}: {text}; {hint}", path=folder)


def _check_way(folder: str) -> None:
    """Raises SocketError where somebody else has put something on the way, in a folder for everybody."""
    for above, place, found in _way(folder):
        is_link = stat.S_ISLNK(found.st_mode)
        if _is_trusted(found.st_uid) or not (stat.S_ISDIR(found.st_mode) or is_link):
            continue
        if not _look(above).st_mode & stat.S_IWOTH and not (is_link and os.geteuid() != 0):
            continue
        kind, what = ("link", "make it lead elsewhere") if is_link else ("folder", "replace a socket in it")
        text = f"this {kind} belongs to {name_of(found.st_uid)}, who could {what}"
        raise SocketError(f"{shown(place)}: {text}; choose another folder", path=folder)


def _tell_of_way(folder: str) -> None:
    """Warn of those who may put another folder in place of one on the way: an operator has to judge."""
    for above, place, _ in _way(folder):
        found = _look(above)
        mode, uid = found.st_mode, found.st_uid
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            who = f"all users (mode {stat.S_IMODE(mode):04o})"
        elif not _is_trusted(uid) and os.geteuid() != 0:
            who = name_of(uid)
        else:
            continue
        text = "%s may put another folder in place of %s, with sockets of their own that your clients use"
        _log.warning(text, who, shown(place))


def _way(folder: str) -> Iterator[tuple[str, str, os.stat_result]]:
    """Each name on the way to `folder` that exists, behind the folder it stands in; links are followed."""
    place = "/"
    rest = [part for part in os.path.abspath(folder).split("/") if part][::-1]
    links = 0
    while rest:
        above, place = place, os.path.join(place, rest.pop())
        if not rest and not os.path.lexists(place):
            return  # it is to be made
        found = _look(place)
        yield above, place, found
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise SocketError(f"{shown(folder)}: {os.strerror(errno.ELOOP)}", path=folder)
            target = os.readlink(place)
            rest += [part for part in target.split("/") if part][::-1]
            place = "/" if target.startswith("/") else above


def _look(place: str, *, follows: bool = False) -> os.stat_result:
    try:
        return os.stat(place, follow_symlinks=follows)
    except OSError as error:
        raise SocketError(f"{shown(place)}: {error.strerror}", path=place) from None


def _is_trusted(uid: int) -> bool:
    """Root, and this user. In a user namespace root is nobody, as everybody is who is not in it."""
    return uid in (0, os.geteuid()) or (uid == _OVERFLOW_UID and _is_in_user_namespace())


@functools.cache
def _is_in_user_namespace() -> bool:
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            return file.read().split() != ["0", "0", "4294967295"]
    except OSError:
        return False


def _is_private(gid: int, uid: int) -> bool:
    """Whether this is the group that many systems make for each user: named as the user, without others."""
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and {*group.gr_mem} <= {user.pw_name}
