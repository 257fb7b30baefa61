"""The files that an interpreter reads when it begins, and that may be others by now.

A forked plugin has the `sys.path` that they made for its forkserver. So what `pip install -e` has added
since then is found by a new interpreter only. Invariant: two looks are equal only if the same `.pth` files,
`sitecustomize`, `usercustomize` and `pyvenv.cfg` were there, by their times and sizes. What else is in
their folders does not matter. A folder is listed only when it has changed, for a launch waits for this.
"""

from __future__ import annotations

import os
import site
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Look", "StartupFiles", "site_folders"]

Look = tuple[tuple[str, int, int], ...]
"""The path of each file, when it was changed, and its size; -1 for what is gone, and for a folder that is
not there."""

_CUSTOMIZE = ("sitecustomize", "usercustomize")
# A file that comes within one tick of the file system's clock does not change the time of its folder again.
_TICK_NS = 100_000_000


def site_folders() -> list[str]:
    """Where the interpreters of this environment find such files, and where this one did."""
    folders = site.getsitepackages()
    # This one may have been started without it, which those are not.
    if site.ENABLE_USER_SITE or sys.flags.no_user_site:
        folders.append(site.getusersitepackages())
    folders += [path for path in map(_text, sys.path) if path.endswith(("site-packages", "dist-packages"))]
    folders.append(os.path.dirname(os.__file__))  # `sitecustomize` may lie in the standard library
    return list(dict.fromkeys(folders))


def _text(entry: object) -> str:
    """What imports look in; a path of another kind, which programs put there, is passed over by them."""
    return entry if isinstance(entry, str) else ""


class StartupFiles:
    """Those in `folders`, and `configuration`, which is that of the virtual environment."""

    def __init__(self, folders: Iterable[str], configuration: str) -> None:
        self._folders = [_Folder(path) for path in folders]
        self._configuration = configuration

    def look(self) -> Look:
        """What is there now; some microseconds for each file."""
        found = [_mark(self._configuration)]
        for folder in self._folders:
            found += folder.look()
        return tuple(found)


class _Folder:
    __slots__ = ("_files", "_listed", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._listed = -1  # when it had been changed last, at the listing that holds
        self._files: list[str] = []

    def look(self) -> list[tuple[str, int, int]]:
        try:
            changed = os.stat(self._path).st_mtime_ns
            if changed != self._listed:
                self._list(changed)
        except OSError:
            self._listed = -1
            return [(self._path, -1, -1)]
        return [_mark(path) for path in self._files]

    def _list(self, changed: int) -> None:
        self._files = []
        for name in sorted(os.listdir(self._path)):
            if name.endswith(".pth") or name.partition(".")[0] in _CUSTOMIZE:
                path = os.path.join(self._path, name)
                self._files += [os.path.join(path, "__init__.py")] if os.path.isdir(path) else [path]
        self._listed = changed if abs(time.time_ns() - changed) > _TICK_NS else -1


def _mark(path: str) -> tuple[str, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return path, -1, -1
    return path, found.st_mtime_ns, found.st_size
