"""What a guest says when it cannot do what it was asked: one word in a header, and the error for it.

Pure. "file-not-found" is the word of the first guests; the others tell apart what that had to stand for.
"""

from __future__ import annotations

from collections.abc import Callable

from plugin_host.errors import (
    ArtifactNotFound,
    CallError,
    FileAccessDenied,
    FileAccessError,
    FolderNotFound,
    IsFolder,
    MetadataError,
    NoSuchEndPoint,
    NotFile,
    NotFolder,
)
from plugin_host.wording import shown

from .action import Action

__all__ = ["HEADER", "NOT_FOUND", "WORDS", "reported"]

HEADER = "x-taskcluster-worker-error"
"""The header with the word."""

NOT_FOUND = "file-not-found"

WORDS: dict[str, Callable[..., FileAccessError]] = {
    "permission-denied": FileAccessDenied,
    "is-folder": IsFolder,
    "not-a-folder": NotFolder,
    "not-a-file": NotFile,
    "read-error": FileAccessError,
}
_NOT_SUPPORTED = "not-supported"


def reported(action: Action, word: str) -> CallError:
    """The error for `word`, which a guest answered `action` with."""
    if word == _NOT_SUPPORTED:
        return NoSuchEndPoint(f"the guest does not know or does not do {action.type}")
    if word == NOT_FOUND and action.type in ("get-artifact", "list-folder"):
        kind = ArtifactNotFound if action.type == "get-artifact" else FolderNotFound
        return kind(f"the guest has no {shown(action.path)}", data={"path": action.path})
    if word in WORDS:
        return WORDS[word](f"{shown(action.path)}: the guest says {word}", data={"path": action.path})
    return MetadataError(f"{action.type}: the guest says {shown(word[:80])}")
