"""What must hold of a plugin before any of its code runs."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from . import checksum
from .errors import SpawnError

if TYPE_CHECKING:
    from .candidate import Candidate
    from .manifest import Manifest

__all__ = ["check_launchable", "check_there", "is_gone"]


def is_gone(folder: str | os.PathLike[str]) -> bool:
    """Whether there is no such folder any more, and not only no way for this process to look."""
    try:
        os.stat(os.path.join(folder, ""))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def check_there(candidate: Candidate) -> None:
    """Raises SpawnError where the plugin's folder is gone: what runs may go on, and would not come back."""
    if candidate.root is not None and is_gone(candidate.root):
        text = f"plugin `{candidate.id}` cannot be started: its folder {candidate.root} is gone"
        raise SpawnError(text, plugin=candidate.id, file=str(candidate.root))


async def check_launchable(candidate: Candidate, manifest: Manifest) -> None:
    """Hold the plugin to what was asked of it. Raises LaunchError, ManifestError."""
    if not (manifest.checksum or candidate.pin):
        return
    try:
        await asyncio.to_thread(checksum.verify, manifest, candidate.root, candidate.pin)
    except RuntimeError as error:  # there are no threads left
        text = f"plugin `{manifest.id}` cannot be started: its checksum cannot be looked at: {error}"
        raise SpawnError(text, plugin=manifest.id) from error
