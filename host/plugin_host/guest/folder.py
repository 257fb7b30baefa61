"""What a guest answers about a folder, held against what was asked."""

from __future__ import annotations

import posixpath

import msgspec

from plugin_host.errors import CallError, FolderNotFound, InvalidPayload
from plugin_host.wording import shown
from plugin_host_sdk.types.task import FolderEntry

__all__ = ["LIST_BYTES", "entries"]

LIST_BYTES = 10 * 1024 * 1024
"""The longest list that is read."""


class _Files(msgspec.Struct):
    """As it travels. A program in Go writes null for an empty list."""

    files: list[str] | None = None
    not_found: bool = msgspec.field(default=False, name="notFound")


def entries(data: bytes, path: str, recursive: bool) -> list[FolderEntry] | CallError:
    """The files below `path` that a guest names, sorted; FolderNotFound when it says so.

    A guest tells of files only, by their absolute paths, and of all below. Raises InvalidPayload.
    """
    try:
        told = msgspec.json.decode(data, type=_Files)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidPayload(f"this is no list of files: {error}") from None
    if told.not_found:
        return FolderNotFound(f"the guest has no folder {shown(path)}", data={"path": path})
    files = sorted(told.files or ())
    if not recursive:
        files = [file for file in files if posixpath.dirname(file) == path.rstrip("/")]
    return [FolderEntry(path=file, type="file") for file in files]
