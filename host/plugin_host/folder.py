"""Plugins that lie in a folder the operator named (`--plugin-dir`).

Owns which of its subfolders are plugins. Invariant: nothing below it can stop the reading of the rest;
what names a plugin and cannot be read is a broken candidate.
"""

from __future__ import annotations

import os
from pathlib import Path

from . import manifest
from .candidate import Candidate
from .errors import ManifestError
from .manifest import MANIFEST_NAME
from .wording import shown

__all__ = ["candidates"]


def candidates(plugin_dir: str | os.PathLike[str]) -> list[Candidate]:
    """The plugins of one folder: itself and each subfolder, where a `plugin_manifest.json` lies.

    Ordered by path. A folder that cannot be read, or holds things but no manifest, is one broken
    candidate; an empty one is none. Names that start with a dot are not looked at.
    """
    try:
        folder = os.path.abspath(plugin_dir)
    except FileNotFoundError:
        gone = "expected an absolute path, as the working folder of the host is gone"
        return [_broken(os.fspath(plugin_dir), gone)]
    if "\0" in folder:
        return [_broken(folder, "expected a path without NUL characters")]
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return [_broken(folder, f"expected a folder of plugins: {reason}")]
    found = [_candidate(folder)] if MANIFEST_NAME in names else []
    for name in names:
        path = os.path.join(folder, name)
        reason = _obstacle(path)
        if reason is not None:
            found.append(_broken(path, reason))
        elif os.path.lexists(os.path.join(path, MANIFEST_NAME)):
            found.append(_candidate(path))
    if names and not found:
        return [_broken(folder, f"expected a {MANIFEST_NAME} here or in a subfolder, found none")]
    return found


def _obstacle(path: str) -> str | None:
    """Why it cannot be told whether a plugin lies here; None when it can."""
    try:
        os.stat(os.path.join(path, MANIFEST_NAME), follow_symlinks=False)
    except NotADirectoryError:
        return None
    except FileNotFoundError:
        if os.path.islink(path) and not os.path.exists(path):
            return f"expected a folder, found a link to {shown(os.readlink(path))}, which is missing"
        return None
    except OSError as error:
        return f"expected a folder of a plugin: {error.strerror}"
    return None


def _candidate(folder: str) -> Candidate:
    file = Path(folder, MANIFEST_NAME)
    source = f"folder {shown(folder)}"
    try:
        found = manifest.load(file)
    except ManifestError as error:
        return Candidate(id=_guess(folder), source=source, manifest_file=file, error=error)
    return Candidate(
        id=found.id,
        source=source,
        manifest=found,
        root=file.parent,
        manifest_file=file,
        sys_path=(folder,),
    )


def _broken(path: str, reason: str) -> Candidate:
    file = shown(path)
    error = ManifestError(f"{file}: {reason}", file=file)
    return Candidate(id=_guess(path), source=f"folder {file}", error=error)


def _guess(folder: str) -> str:
    return shown(os.path.basename(folder) or folder)
