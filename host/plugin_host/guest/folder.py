"""What a guest answers about a folder, held against what was asked.

Invariant: what is listed is in the folder that was asked for, whatever the guest says.
"""

from __future__ import annotations

import logging
import posixpath

import msgspec

from plugin_host.errors import CallError, FolderNotFound, InvalidPayload
from plugin_host.wording import shown
from plugin_host_sdk.types.task import FolderEntry

__all__ = ["LIST_BYTES", "entries"]

LIST_BYTES = 10 * 1024 * 1024
"""The longest list that is read."""

_log = logging.getLogger("plugin_host.guest")


class _Files(msgspec.Struct):
    """As it travels. A program in Go writes null for an empty list."""

    files: list[str] | None = None
    not_found: bool = msgspec.field(default=False, name="notFound")


def entries(data: bytes, path: str, recursive: bool) -> list[FolderEntry] | CallError:
    """The files below `path` that a guest names, sorted; FolderNotFound when it says so.

    A guest tells of files only, by their absolute paths, and of all below; what is elsewhere is left out.
    Raises InvalidPayload.
    """
    try:
        told = msgspec.json.decode(data, type=_Files)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidPayload(f"this is no list of files: {error}") from None
    if told.not_found:
        return FolderNotFound(f"the guest has no folder {shown(path)}", data={"path": path})
    # As it was asked for, and as a guest may have tidied it.
    bases = {f"{one.rstrip('/')}/" for one in (path, f"/{posixpath.normpath(path).lstrip('/')}")}
    places = {file: _place(file, bases) for file in told.files or ()}
    if "" in places.values():
        _log.warning("a guest lists files that are not in %s: they are left out", shown(path))
    files = sorted(file for file, place in places.items() if place and (recursive or "/" not in place))
    return [FolderEntry(path=file, type="file") for file in files]


def _place(file: str, bases: set[str]) -> str:
    """Where in the folder a file is; empty when it is not."""
    for base in bases:
        if file.startswith(base) and ".." not in (place := file.removeprefix(base).lstrip("/")).split("/"):
            return place
    return ""
