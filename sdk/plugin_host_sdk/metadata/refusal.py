"""Why a file or folder cannot be had, as the host is told: errors of the system as errors that travel."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import (
    ArtifactNotFound,
    FileAccessDenied,
    FileAccessError,
    FolderNotFound,
    IsFolder,
    NotFile,
    NotFolder,
    OutsideRoots,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["not_a_file", "outside", "refusal_of", "shown"]

_MISSING = frozenset({errno.ENOENT})
_DENIED = frozenset({errno.EACCES, errno.EPERM})


def shown(path: bytes) -> str:
    """A path as text, with escapes for what is no UTF-8."""
    return path.decode("utf-8", "backslashreplace")


def refusal_of(error: OSError, path: str, *, is_folder: bool) -> FileAccessError:
    """The error for who asked for the file or folder at `path`."""
    number = error.errno or 0
    data = {"path": path, "errno": number}
    if number in _MISSING or (number == errno.ENOTDIR and not is_folder):
        kind = FolderNotFound if is_folder else ArtifactNotFound
        return kind(f"there is no {'folder' if is_folder else 'file'} {path}", data=data)
    if number in _DENIED:
        return FileAccessDenied(f"the plugin's user may not read {path}", data=data)
    if number == errno.EISDIR:
        return IsFolder(f"{path} is a folder; list it, or name a file in it", data=data)
    if number == errno.ENOTDIR:
        return NotFolder(f"{path} is no folder", data=data)
    reason = os.strerror(number) if number else str(error)
    return FileAccessError(f"{path} cannot be read: {reason}", data=data, retryable=number in _SCARCITY)


_SCARCITY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def outside(path: bytes, roots: Sequence[str]) -> OutsideRoots:
    """The path leads out of all roots."""
    folders = ", ".join(roots) or "nothing"
    return OutsideRoots(
        f"{shown(path)} leads outside of what the plugin serves, which is {folders}",
        data={"path": shown(path)},
    )


def not_a_file(path: bytes) -> NotFile:
    """It exists and has no content of its own."""
    return NotFile(
        f"{shown(path)} is no file: a device, a socket or a pipe is not sent", data={"path": shown(path)}
    )
