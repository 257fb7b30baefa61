"""How a local listening socket comes to be, and how its name goes away again.

Invariants: a socket has its mode and group, and listens, before its name can be seen; of several
processes that want one name, one gets it; only a socket that nobody listens on is ever replaced, and only
our own name is ever removed.
"""

from __future__ import annotations

import functools
import grp
import os
import socket
import stat
import tempfile
from dataclasses import dataclass
from typing import NamedTuple

from . import fork
from .errors import SocketError, SocketInUse
from .peer import Peer, peer_of
from .peerrule import PeerRule, rule_for
from .socketfolder import check_folder, give, locked, made
from .wording import shown

__all__ = [
    "LONGEST_PATH",
    "BoundSocket",
    "LocalSocket",
    "check_group",
    "check_path",
    "listen",
    "look",
    "rule_of",
    "unlink_dead",
    "unlink_own",
]

LONGEST_PATH = 107
"""Bytes of a path that a local socket can have on Linux."""

_SETTING = "--socket or PLUGIN_HOST_SOCKET"
_LARGEST_ID = 2**32 - 2  # the last number means "leave it"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSocket:
    """Where a socket is to be and who may connect: those who may write to it and search its folder.

    `group`, a name or number, gets the socket; None leaves it to the user's own. `folder_mode` is that of
    folders that must be made. `setting` is how another path is chosen, for messages.
    """

    path: str
    mode: int = 0o600
    group: str | int | None = None
    folder_mode: int = 0o700
    setting: str = _SETTING

    @classmethod
    def configured(
        cls, path: str, mode: int | None, group: str | int | None, *, setting: str = _SETTING
    ) -> LocalSocket:
        """As an operator set it, None where nothing is set: whoever may connect may also search the folder.

        A group without a mode may connect, which is what a group is given for.
        """
        if mode is None:
            mode = 0o600 if group is None else 0o660
        folder_mode = 0o700 | (0o010 if mode & 0o020 else 0) | (0o001 if mode & 0o002 else 0)
        return cls(path=path, mode=mode, group=group, folder_mode=folder_mode, setting=setting)


class _Identity(NamedTuple):
    """Which file a name stands for. The time tells it from a later file that got the same number."""

    device: int
    inode: int
    made_ns: int


class BoundSocket(socket.socket):
    """A listening socket that knows the name it was given in the file system, and whom it is for."""

    path: str = ""
    identity: _Identity | None = None
    rule: PeerRule | None = None
    generation: int = 0


def listen(place: LocalSocket, backlog: int = 128) -> BoundSocket:
    """A non-blocking listening socket at `place`, not inherited by children.

    Missing folders are made; those that exist stay as they are. Blocks for milliseconds, or for two
    seconds when another process holds on to the folder.

    Raises SocketInUse when somebody listens there, and SocketError: the path is too long or names
    something that is no socket, the folder cannot be used, there is no such group, or it may not be given.
    Nothing is left behind then.
    """
    path = check_path(place.path, place.setting)
    gid = _gid(place)
    folder = os.path.dirname(path)
    with made(folder, place.folder_mode, gid), locked(folder):
        _check_free(path, place)
        try:
            return _bound(path, place.mode, gid, backlog)
        except OSError as error:
            text = f"{shown(path)}: cannot listen here: {error.strerror or error}"
            raise SocketError(text, path=path) from None


def look(place: LocalSocket) -> Peer | None:
    """Who listens at `place`, pid 0 when that is not told; None when nobody does. Changes nothing.

    Raises SocketError for what `listen` would, as far as it can be seen without trying.
    """
    path = check_path(place.path, place.setting)
    _gid(place)
    check_folder(os.path.dirname(path))
    return _occupant(path, place)


def check_path(path: str, setting: str = _SETTING) -> str:
    """The absolute form of `path`. Raises SocketError when no socket can have it."""
    absolute = os.path.abspath(path)
    length = len(os.fsencode(absolute))
    if "\0" in path or path.endswith("/"):
        raise SocketError(f"{shown(path)} cannot be the path of a socket", path=path)
    if length > LONGEST_PATH:
        raise SocketError(
            f"{shown(absolute)}: this path has {length} bytes and that of a socket at most {LONGEST_PATH}; "
            f"choose a shorter one with {setting}",
            path=absolute,
        )
    return absolute


def check_group(place: LocalSocket) -> None:
    """Raises SocketError when there is no such group. Blocks; `listen` does not ask for it again."""
    _gid(place)


def rule_of(listening: socket.socket) -> PeerRule:
    """Who may connect to a socket that was made by `listen`, or handed over."""
    rule = listening.rule if isinstance(listening, BoundSocket) else None
    return rule or rule_for(listening)


def unlink_own(listening: socket.socket) -> bool:
    """Remove the name of a socket made by `listen`, if it still is its name; whether it was removed.

    Names that somebody else made stay, as do those of sockets that were inherited. To be called before
    the socket is closed, so that no name is seen behind which nobody listens.
    """
    if not isinstance(listening, BoundSocket) or listening.identity is None:
        return False
    if listening.generation != fork.generation:  # a forked parent's
        return False
    try:
        with locked(os.path.dirname(listening.path)):
            if _identity(listening.path) != listening.identity:
                return False
            os.unlink(listening.path)
    except (OSError, SocketError):  # the folder is gone, or no longer ours
        return False
    listening.identity = None
    return True


def unlink_dead(path: str) -> bool:
    """Remove the name of a socket behind which, for certain, nobody listens; whether it was removed."""
    try:
        with locked(os.path.dirname(path)):
            if not stat.S_ISSOCK(os.lstat(path).st_mode) or _listener(path) is not None:
                return False
            os.unlink(path)
    except (OSError, SocketError):
        return False
    return True


def _bound(path: str, mode: int, gid: int | None, backlog: int) -> BoundSocket:
    """Make it in a folder that nobody else may enter, then give it its name. May raise OSError."""
    folder, name = os.path.split(path)
    listening = BoundSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        room = tempfile.mkdtemp(prefix=".", dir=folder)
    except BaseException:
        listening.close()
        raise
    made_at = os.path.join(room, name)
    try:
        listening.setblocking(False)
        _bind(listening, made_at)
        if gid is not None:
            give(made_at, gid, path)
        os.chmod(made_at, mode)
        listening.listen(backlog)
        listening.path, listening.identity = path, _identity(made_at)
        listening.generation = fork.generation
        listening.rule = PeerRule.of(os.lstat(made_at))
        os.rename(made_at, path)
    except BaseException:
        listening.close()
        if os.path.lexists(made_at):
            os.unlink(made_at)
        raise
    finally:
        os.rmdir(room)
    return listening


def _bind(listening: socket.socket, path: str) -> None:
    """Bind to `path`, which may be longer than what fits into an address."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        listening.bind(path)
        return
    folder, name = os.path.split(path)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listening.bind(f"/proc/self/fd/{fd}/s")
        os.rename(os.path.join(folder, "s"), os.path.join(folder, name))
    finally:
        os.close(fd)


def _check_free(path: str, place: LocalSocket) -> None:
    """Raises SocketError unless there is nothing at `path`, or a socket that nobody listens on."""
    listener = _occupant(path, place)
    if listener is not None:
        who = f"process {listener.pid} (uid {listener.uid})" if listener.pid else "another process"
        raise SocketInUse(
            f"{shown(path)}: {who} already listens here; stop it, or choose another path with "
            f"{place.setting}",
            path=path,
            pid=listener.pid or None,
        )


def _occupant(path: str, place: LocalSocket) -> Peer | None:
    """Who listens at `path`, None when nobody does. Raises SocketError when it is no socket's."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SocketError(f"{shown(path)}: {error.strerror}", path=path) from None
    if not stat.S_ISSOCK(mode):
        text = f"{_kind(mode)} stands here and is not removed; move it, or choose another path with"
        raise SocketError(f"{shown(path)}: {text} {place.setting}", path=path)
    return _listener(path)


def _listener(path: str) -> Peer | None:
    """Who listens at `path`; None when it is certain that nobody does. Raises SocketError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
            return peer_of(probe)
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except BlockingIOError:  # more connections wait than it has taken
            return Peer(0, 0, 0)
        except OSError as error:
            text = f"a socket stands here and it cannot be told who listens on it: {error.strerror}"
            raise SocketError(f"{shown(path)}: {text}", path=path) from None


def _gid(place: LocalSocket) -> int | None:
    if place.group is None:
        return None
    name = str(place.group)
    try:
        return _group_number(name)
    except KeyError:
        pass
    text = f"group {shown(name)} does not exist here (`getent group {shown(name)}` shows it when it does)"
    raise SocketError(f"{shown(place.path)}: {text}", path=place.path)


@functools.cache
def _group_number(name: str) -> int:
    """Raises KeyError. Found out once, since a directory in the network may take its time to answer."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        if name.isascii() and name.isdigit() and int(name) <= _LARGEST_ID:
            return int(name)
        raise


def _identity(path: str) -> _Identity:
    found = os.lstat(path)
    return _Identity(found.st_dev, found.st_ino, found.st_mtime_ns)


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISLNK, "a symbolic link"), (stat.S_ISREG, "a file"))
    return next((word for test, word in kinds if test(mode)), "something that is no socket")
