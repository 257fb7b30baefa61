"""The folders that a Python needs to run and to import what is installed for it.

Owns how virtual environments, links and editable installs lead from one folder to the next. Reads the
file system and runs nothing: an environment may belong to a plugin, and starting it would run its code.
Invariant: only folders that exist are named, as they are written in what leads to them.
"""

from __future__ import annotations

import json
import os
from glob import escape, glob
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["folders_of", "package_in"]

_MOST_LINKS = 40
_CONFIGURATION = "pyvenv.cfg"
_LARGEST_PTH = 64 * 1024


def folders_of(python: str) -> tuple[str, ...]:
    """What the interpreter at the absolute path `python` needs to see, each folder once.

    An editable install is found by its `direct_url.json` or by a folder named in a `.pth` file; what code
    in such a file adds is not.
    """
    found: dict[str, None] = {}
    for prefix in _prefixes(python):
        found[prefix] = None
        for packages in _packages(prefix):
            found.update(dict.fromkeys(_elsewhere(packages)))
    found.update(dict.fromkeys(_link_folders(python)))
    return tuple(path for path in found if os.path.isdir(path))


def package_in(python: str, name: str) -> str | None:
    """The folder of the package `name` that the interpreter at `python` would import, if it is one."""
    for prefix in _prefixes(python):
        for packages in _packages(prefix):
            for folder in (packages, *_elsewhere(packages)):
                if os.path.isdir(os.path.join(folder, name)):
                    return os.path.join(folder, name)
    return None


def _prefixes(python: str) -> list[str]:
    """The virtual environment, if it is one, and the installation behind it."""
    prefixes = []
    environment = os.path.dirname(os.path.dirname(python))
    home = _home(os.path.join(environment, _CONFIGURATION))
    if home is not None:
        prefixes += [environment, os.path.dirname(home)]
    real = os.path.dirname(os.path.dirname(os.path.realpath(python)))
    return [path for path in (*prefixes, real) if path != "/"]


def _home(configuration: str) -> str | None:
    """The folder of the interpreter that the environment was made with."""
    try:
        with open(configuration, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _, value = line.partition("=")
                if key.strip() == "home" and os.path.isabs(value.strip()):
                    return value.strip()
    except OSError:
        return None
    return None


def _link_folders(python: str) -> Iterator[str]:
    """Where the links lie that lead from `python` to the program: each is read on the way."""
    for _ in range(_MOST_LINKS):
        try:
            target = os.readlink(python)
        except OSError:
            return
        yield os.path.dirname(python)
        python = os.path.normpath(os.path.join(os.path.dirname(python), target))


def _packages(prefix: str) -> list[str]:
    return [
        folder
        for kind in ("lib/python3*/site-packages", "lib/python3*/dist-packages")
        for folder in glob(os.path.join(escape(prefix), kind))
    ]


def _elsewhere(packages: str) -> Iterator[str]:
    """Folders outside `packages` that it takes modules from."""
    try:
        with os.scandir(packages) as entries:
            listed = list(entries)
    except OSError:
        return
    for entry in listed:
        if entry.is_symlink():
            real = os.path.realpath(entry.path)
            yield real if os.path.isdir(real) else os.path.dirname(real)
        elif entry.name.endswith(".pth"):
            yield from _named_in(entry.path, packages)
        elif entry.name.endswith(".dist-info"):
            yield from _editable(os.path.join(entry.path, "direct_url.json"))


def _named_in(pth: str, packages: str) -> Iterator[str]:
    try:
        with open(pth, encoding="utf-8", errors="replace") as stream:
            lines = stream.read(_LARGEST_PTH).splitlines()
    except OSError:
        return
    for line in lines:
        if line.strip() and not line.startswith(("#", "import ", "import\t")):
            yield os.path.normpath(os.path.join(packages, line.strip()))


def _editable(file: str) -> Iterator[str]:
    try:
        with open(file, "rb") as stream:
            origin = json.load(stream)
        url = urlsplit(origin["url"])
        if url.scheme == "file" and origin["dir_info"]["editable"]:
            yield unquote(url.path)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # not of the form it should have
        return
