"""Installs distributions of this checkout, as wheels, for the interpreter that runs this.

    python -m tests.installation ./sdk . ./plugins/system

Each is built anew, so that no change is missed. One process builds all of them, where pip would start
three for each; pip is told of all wheels together, because `plugin-host` wants a `plugin-host-sdk` of its
own version, which is found only there.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

__all__ = ["install"]


def install(folders: Iterable[str]) -> None:
    """Build what lies in `folders` and put it in the place of what was installed."""
    pip = [sys.executable, "-m", "pip"]
    with tempfile.TemporaryDirectory() as out:
        wheels = [_wheel(Path(folder), Path(out)) for folder in folders]
        # An installed one of the same version would be taken for the same.
        there = [name for wheel in wheels if _is_installed(name := wheel.name.partition("-")[0])]
        if there:
            subprocess.run([*pip, "uninstall", "-qq", "--yes", *there], check=True)
        subprocess.run([*pip, "install", "-qq", *wheels], check=True)


def _wheel(folder: Path, out: Path) -> Path:
    from hatchling.build import build_wheel

    with contextlib.chdir(folder):
        return out / build_wheel(os.fspath(out))


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    install(sys.argv[1:])
