"""What a user may do with a file, seen with that user's eyes, and what stands in the way.

Owns the reading of owners and modes along a path. Looks and changes nothing. Invariant: an obstacle is
named only when there is one: where more than owner and mode decide (access control lists), the benefit of
the doubt is given, and the kernel has the last word.
"""

from __future__ import annotations

import os
import pwd
import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .account import Account

__all__ = ["Obstacle", "may", "mode_and_owner", "name_of", "obstacle"]

_MOST_LINKS = 40  # as the kernel
_ACL = "system.posix_acl_access"


class Obstacle(NamedTuple):
    """`path` is a folder that may not be searched, or the end of the way that may not be read or run."""

    path: str
    is_folder_on_the_way: bool


def obstacle(path: str, bits: int, account: Account | None) -> Obstacle | None:
    """What keeps `account` (None: this process) from doing `bits` (`os.R_OK` and so on) with `path`.

    None also when something on the way does not exist, which is another fault.
    """
    try:
        for folder in _folders_to(path):
            if not may(folder, os.X_OK, account):
                return Obstacle(folder, True)
        return None if may(path, bits, account) else Obstacle(path, False)
    except OSError:
        return None


def may(path: str, bits: int, account: Account | None) -> bool:
    """Whether owner and mode of `path` itself allow `bits`; the folders above are not looked at.

    Without an account it is the kernel's answer for this process. Raises OSError for what is not there.
    """
    if account is None:
        return os.access(path, bits)
    found = os.stat(path)
    mode = found.st_mode
    if account.uid == 0:
        return not bits & os.X_OK or stat.S_ISDIR(mode) or bool(mode & 0o111)
    if account.uid == found.st_uid:
        mode >>= 6
    elif found.st_gid in (account.gid, *account.groups):
        mode >>= 3
    return mode & bits == bits or _has_acl(path)


def mode_and_owner(path: str) -> str:
    """`mode 0700, owner root`, or why that cannot be told."""
    try:
        found = os.stat(path)
    except OSError as error:
        return error.strerror or str(error)
    return f"mode {stat.S_IMODE(found.st_mode):04o}, owner {name_of(found.st_uid)}"


def name_of(uid: int) -> str:
    """The user's name, or `uid 1234`."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _folders_to(path: str) -> Iterator[str]:
    """Every folder that is searched on the way to `path`, in order, through symbolic links.

    May raise OSError.
    """
    here, names, links = "/", _names(os.path.join(os.getcwd(), path)), 0
    while names:
        name = names.pop()
        if name == "..":
            here = os.path.dirname(here)
            continue
        yield here
        there = os.path.join(here, name)
        if not os.path.islink(there) or links == _MOST_LINKS:
            here = there
            continue
        links += 1
        target = os.readlink(there)
        here = "/" if os.path.isabs(target) else here
        names += _names(target)


def _names(path: str) -> list[str]:
    """The last first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _has_acl(path: str) -> bool:
    try:
        return bool(os.getxattr(path, _ACL))
    except (AttributeError, OSError):
        return False
