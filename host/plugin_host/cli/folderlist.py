"""What is in a folder of a task, for people and for programs."""

from __future__ import annotations

import stat
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from .table import table

if TYPE_CHECKING:
    from plugin_host_sdk.types.task import FolderEntry

__all__ = ["entries_text", "entry_map"]

_KINDS = {"file": stat.S_IFREG, "folder": stat.S_IFDIR, "link": stat.S_IFLNK, "other": 0}


def entries_text(entries: Sequence[FolderEntry]) -> str:
    """A line for each, nothing for none."""
    return table(("MODE", "SIZE", "MODIFIED", "PATH"), [_row(one) for one in entries]) if entries else ""


def _row(entry: FolderEntry) -> list[str]:
    modified = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.mtime))
    mode = stat.filemode(_KINDS[entry.type] | entry.mode)
    return [mode, str(entry.size), modified, entry.path + ("/" if entry.type == "folder" else "")]


def entry_map(entry: FolderEntry) -> dict[str, Any]:
    """An entry as it is told."""
    told: dict[str, Any] = msgspec.to_builtins(entry, builtin_types=(bytes,))
    return told if entry.raw is not None else {name: told[name] for name in told if name != "raw"}
