"""Where a file is to be: its folder, reached without following a symbolic link.

Every folder on the way is opened from the one before, so that nobody can put a link into a way that was
checked. Invariant: a descriptor that is given out is a folder below one of the roots, if there are any.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from plugin_host_sdk.errors import ActionFailed, ActionInvalid, ActionRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plugin_host_sdk.action import Identity

__all__ = ["Place", "open_folder", "parse"]

# To look for the next folder takes no more than the right to enter one.
_ENTER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_MODE = 0o755


class Place(NamedTuple):
    """A path in its parts: `folders` from the root on, and the `name` in the last of them."""

    path: str
    folders: tuple[str, ...]
    name: str


def parse(path: str, roots: Sequence[str] | None = None) -> Place:
    """The parts of an absolute path. Raises ActionInvalid for one that names no file or climbs with "..",
    and ActionRefused for one that is not below any of the `roots`."""
    parts = _parts(path)
    if not parts or path.endswith("/"):
        raise ActionInvalid(f"{path!r} names no file")
    if roots is not None:
        below = (_parts(root) for root in roots)
        if not any(len(root) < len(parts) and parts[: len(root)] == root for root in below):
            allowed = ", ".join(roots) or "no folder"
            raise ActionRefused(
                f"{path!r} is outside of what the setting roots allows: {allowed}", data={"option": "roots"}
            )
    return Place(path, tuple(parts[:-1]), parts[-1])


def open_folder(folders: Sequence[str], *, make: bool = False, owner: Identity | None = None) -> int:
    """A descriptor of the folder, to be closed by the caller; `make` makes those that are missing.

    Raises ActionFailed, which names the part of the way that is missing, a link or no folder.
    """
    folder = os.open("/", _ENTER)
    way = ""
    try:
        for part in folders:
            way += f"/{part}"
            try:
                inner = _enter(folder, part, make, owner)
            except OSError as error:
                raise _explained(way, folder, part, error) from None
            os.close(folder)
            folder = inner
        return folder
    except BaseException:
        os.close(folder)
        raise


def _enter(folder: int, part: str, make: bool, owner: Identity | None) -> int:
    try:
        return os.open(part, _ENTER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    try:
        os.mkdir(part, _FOLDER_MODE, dir_fd=folder)
    except FileExistsError:
        pass  # somebody else was faster, and may have made it anything: opening it finds out
    else:
        if owner is not None:
            os.chown(part, owner.uid, owner.gid, dir_fd=folder, follow_symlinks=False)
    return os.open(part, _ENTER, dir_fd=folder)


def _parts(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ActionInvalid(f"{path!r} climbs with '..': name the place itself")
    return parts


def _explained(way: str, folder: int, part: str, error: OSError) -> ActionFailed:
    data = {"errno": error.errno, "path": way}
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        try:
            is_link = stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode)
        except OSError:
            is_link = False
        what = "a symbolic link, and those are not followed" if is_link else "no folder"
        return ActionFailed(f"{way} is {what}", data=data)
    if error.errno == errno.ENOENT:
        return ActionFailed(f"there is no folder {way}: make it, or ask for parents", data=data)
    return ActionFailed(f"{way} cannot be entered or made: {error.strerror}", data=data)
