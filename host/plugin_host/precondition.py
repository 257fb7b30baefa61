"""What must hold of a plugin before any of its code runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from . import checksum

if TYPE_CHECKING:
    from .candidate import Candidate
    from .manifest import Manifest

__all__ = ["check_launchable"]


async def check_launchable(candidate: Candidate, manifest: Manifest) -> None:
    """Hold the plugin to what was asked of it. Raises LaunchError, ManifestError."""
    if manifest.checksum or candidate.pin:
        await asyncio.to_thread(checksum.verify, manifest, candidate.root, candidate.pin)
