"""Virtual environments for tests, made without a network: packages are taken from where the tests run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

SDK_AND_ITS_NEEDS = ("plugin_host_sdk", "msgpack", "msgspec", "ptyprocess")


def bare(folder: Path, *, python: str = sys.executable) -> Path:
    """An environment that holds nothing, in `folder`; its site-packages."""
    if python == sys.executable:
        venv.create(folder, with_pip=False, symlinks=True)
    else:
        subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    (packages,) = folder.glob("lib/python3*/site-packages")
    return packages


def lend(packages: Path, names: Iterable[str] = SDK_AND_ITS_NEEDS) -> None:
    """Put packages of this interpreter into the site-packages of another environment."""
    for name in names:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.submodule_search_locations is not None, name
        os.symlink(next(iter(spec.submodule_search_locations)), packages / name)


def lend_all(packages: Path) -> None:
    """Make everything of this interpreter importable there, the host and build tools included."""
    folders = [path for path in sys.path if path.endswith("site-packages")]
    lines = [f"import site; site.addsitedir({folder!r})\n" for folder in folders]
    (packages / "lent.pth").write_text("".join(lines), encoding="utf-8")


def interpreter(version: str) -> str | None:
    """The path of a Python of this version, `3.12` for one; None when there is none."""
    candidates = [
        *(Path(folder) / f"python{version}" for folder in os.environ["PATH"].split(os.pathsep)),
        *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"), reverse=True),
    ]
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and _says(candidate) == version:
            return str(candidate)
    return None


def _says(python: Path) -> str:
    """The version an interpreter gives itself; empty when it does not run, like a shim of none."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip()
