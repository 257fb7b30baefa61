"""Reading a pre-shared key from its file, and the one that is about to take its place.

Invariant: a key that others than its owner and root can read or replace is refused, not warned of.
"""

from __future__ import annotations

import errno
import logging
import os
import stat

from plugin_host.errors import KeyFileError
from plugin_host.wording import shown

__all__ = ["LONGEST_KEY", "SHORTEST_KEY", "read_key", "read_keys"]

_NEW = ".new"  # behind the name of a key's file
SHORTEST_KEY = 16
LONGEST_KEY = 4096

_MAKE = "make one with `(umask 077; head -c 32 /dev/urandom | base64 > FILE)`"

_log = logging.getLogger(__name__)


def read_keys(file: str | os.PathLike[str]) -> list[bytes]:
    """The keys that are valid now: that in `file`, and behind it that in `file`.new, if there is one.

    Where `file` is a symbolic link the new key lies beside what it leads to: there it takes its place. A
    new key that cannot be used is logged and left out. Raises KeyFileError for the other.
    """
    # In this order: a key that moves from one name to the other meanwhile is found at one of them.
    new = _new_key(f"{_resolved(os.fspath(file))}{_NEW}")
    keys = [read_key(file)]
    return keys if new is None or new in keys else [*keys, new]


def _resolved(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # as `read_key` will say
        return path


def _new_key(path: str) -> bytes | None:
    if not os.path.lexists(path):
        return None
    try:
        return read_key(path, follows=False)
    except KeyFileError as error:
        if os.path.lexists(path):  # it was not withdrawn in this moment
            _log.warning("this new key is not taken: %s", error)
        return None


def read_key(file: str | os.PathLike[str], *, follows: bool = True) -> bytes:
    """The key: the file's bytes without line ends behind them. Raises KeyFileError.

    With `follows` `file` may be a symbolic link.
    """
    path = os.fspath(file)
    try:
        # A FIFO would make this wait for who writes into it.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(path, flags if follows else flags | os.O_NOFOLLOW)
    except (OSError, ValueError) as error:
        if not follows and getattr(error, "errno", None) == errno.ELOOP:
            text = "this key is a symbolic link, which others could have made; put the file itself here"
            raise KeyFileError(f"{shown(path)}: {text}", file=path) from None
        reason = error.strerror if isinstance(error, OSError) else str(error)
        hint = f"; {_MAKE}" if isinstance(error, FileNotFoundError) else ""
        raise KeyFileError(f"{shown(path)}: cannot be read: {reason}{hint}", file=path) from None
    try:
        _check(os.fstat(fd), path)
        data = os.read(fd, LONGEST_KEY + 2)
    except OSError as error:
        raise KeyFileError(f"{shown(path)}: cannot be read: {error.strerror}", file=path) from None
    finally:
        os.close(fd)
    key = data.rstrip(b"\r\n")
    if len(key) < SHORTEST_KEY:
        text = f"the key has {len(key)} bytes and needs at least {SHORTEST_KEY}; {_MAKE}"
        raise KeyFileError(f"{shown(path)}: {text}", file=path)
    if len(key) > LONGEST_KEY:
        raise KeyFileError(f"{shown(path)}: the key has more than {LONGEST_KEY} bytes", file=path)
    return key


def _check(found: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError(f"{shown(path)}: expected a file, found something else", file=path)
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        text = f"others than its owner may read or change this key (mode {mode:04o})"
        raise KeyFileError(f"{shown(path)}: {text}; `chmod 600` it, and change the key", file=path)
    if found.st_uid not in (0, os.geteuid()):
        text = f"this key belongs to user {found.st_uid}, who could change it"
        raise KeyFileError(f"{shown(path)}: {text}; `chown` it to who uses it", file=path)
