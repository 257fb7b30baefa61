"""Notes in a victim's folder that its next import meets: it takes one away and comes to grief."""

from __future__ import annotations

import os
import time
from pathlib import Path

__all__ = ["DIE", "HANG", "come_to_grief", "leave"]

DIE, HANG = "die_at_import", "hang_at_import"

_FOLDER = "CHAOS_FOLDER"
"""The variable by which a plugin knows its own folder."""


def leave(folder: Path, name: str) -> None:
    """For the next import of the plugin in `folder`."""
    (folder / name).touch()


def come_to_grief() -> None:
    """Heed a note, if there is one. Raises ImportError, or hangs."""
    folder = Path(os.environ[_FOLDER])
    for name in (DIE, HANG):
        try:
            (folder / name).unlink()
        except FileNotFoundError:
            continue
        if name == DIE:
            raise ImportError("told to fail")
        time.sleep(3600)
