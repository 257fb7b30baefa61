"""Where the sockets of a user's hosts lie when nobody says otherwise.

Owns the search; makes nothing. Invariant: no folder is named that somebody else may have put there.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from .access import name_of
from .errors import SocketError
from .wording import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SOCKET_NAME", "default_socket", "runtime_folder"]

SOCKET_NAME = "control.sock"

_SYSTEM = "/run"


def default_socket(environ: Mapping[str, str] | None = None) -> str:
    """The path of the control socket, for who listens and who connects. Raises as `runtime_folder`."""
    return os.path.join(runtime_folder(environ), SOCKET_NAME)


def runtime_folder(environ: Mapping[str, str] | None = None) -> str:
    """The folder, which need not exist: `plugin-host` in the user's runtime folder.

    That is XDG_RUNTIME_DIR when it is this user's own and not everybody's to write, else `/run` for root,
    else a folder in the temporary one with the user's number in its name. Raises SocketError when that
    last one cannot be trusted.
    """
    environ = os.environ if environ is None else environ
    given = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(given) and _is_own_folder(given):  # after `su` it may be somebody else's
        return os.path.join(given, "plugin-host")
    if os.geteuid() == 0 and os.path.isdir(_SYSTEM):
        return os.path.join(_SYSTEM, "plugin-host")
    folder = os.path.join(environ.get("TMPDIR") or "/tmp", f"plugin-host-{os.geteuid()}")
    _check_own(folder)
    return folder


def _is_own_folder(path: str) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    is_open = found.st_mode & stat.S_IWOTH  # anybody may have put a folder of ours there
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not is_open


def _check_own(folder: str) -> None:
    """Raises SocketError for a folder in a place where everybody may make one, unless it is ours alone."""
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketError(f"{shown(folder)}: {error.strerror}", path=folder) from None
    if not stat.S_ISDIR(found.st_mode):
        problem = "expected a folder, found something else"
    elif found.st_uid != os.geteuid():
        problem = f"this folder belongs to {name_of(found.st_uid)}"
    elif found.st_mode & 0o077:
        problem = f"others may look into this folder (mode {stat.S_IMODE(found.st_mode):04o}, not 0700)"
    else:
        return
    hint = "set XDG_RUNTIME_DIR to a folder of your own, or name the socket with --socket"
    raise SocketError(f"{shown(folder)}: {problem}; {hint}", path=folder)
