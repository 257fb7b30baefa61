"""A plugin as discovery found it: before it is launched, and whether or not it can be.

Owns the shape that every source gives and the host builds on. Invariant: exactly one of `manifest`
and `error` is there, so a broken plugin is an entry of the list like any other, with its reason.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ConfigurationError, ManifestError
from .manifest import Manifest
from .trust import Trust

__all__ = ["Candidate", "interpreter_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One found plugin, sound (`manifest`) or broken (`error`).

    `id` of a broken one is the best guess: its folder's or entry point's name. `source` says in words
    where it was found. `root` is the manifest's folder; `sys_path` is appended to the plugin's own.

    The rest is settled when the configuration is applied: `settings`, with the defaults of the manifest's
    schema; `env`, the manifest's variables with the configured ones over them; `granted`, the permissions
    it asked for and gets; `pin`, a checksum that wins over the manifest's; `trust`, whom it runs as and
    what it may touch; `skipped`, why it is not to run. Settings that do not fit the schema make it broken,
    too.
    """

    id: str
    source: str
    manifest: Manifest | None = None
    root: Path | None = None
    manifest_file: Path | None = None
    sys_path: tuple[str, ...] = ()
    error: ManifestError | ConfigurationError | None = None
    settings: Mapping[str, Any] = field(repr=False, default_factory=dict)  # they may hold secrets
    env: Mapping[str, str] = field(repr=False, default_factory=dict)
    granted: tuple[str, ...] = ()
    pin: str | None = None
    trust: Trust = field(default_factory=Trust)
    skipped: str | None = None

    def __post_init__(self) -> None:
        if (self.manifest is None) == (self.error is None):
            raise ValueError(f"candidate `{self.id}` needs exactly one of manifest and error")

    @property
    def is_startable(self) -> bool:
        """Whether it is sound and to be run."""
        return self.error is None and self.skipped is None


def interpreter_of(manifest: Manifest, root: Path | None) -> str | None:
    """The Python that `launch.interpreter` or `launch.venv` names, absolute; None when neither does.

    Symbolic links and `..` stay as written: the name under which a virtual environment's Python is
    started decides which environment it is. Raises `ManifestError` for a relative name without `root`.
    """
    launch = manifest.launch
    if launch.interpreter is not None:
        name, path = "interpreter", launch.interpreter
    elif launch.venv is not None:
        name, path = "venv", os.path.join(launch.venv, "bin", "python")
    else:
        return None
    if os.path.isabs(path):
        return path
    if root is None:
        raise ManifestError(
            f"plugin `{manifest.id}`: $.launch.{name}: expected an absolute path, as there is no "
            f"manifest's folder that it could be relative to, found {path}",
            path=f"$.launch.{name}",
        )
    return os.path.join(root, path)
