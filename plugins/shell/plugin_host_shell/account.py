"""The user the plugin runs as: login shell, home, names.

A process may run as a user that no passwd entry has, in a container above all. Then the environment
counts, and at last what every system has.
"""

from __future__ import annotations

import os
import pwd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["entry", "home", "login_command", "shell", "variables"]

LAST_SHELL = "/bin/sh"

# A shell is told with `-l` that it is a login shell. One that is not named here may take that for
# anything, and runs without it.
_TAKES_L = frozenset(
    {"ash", "bash", "dash", "ksh", "ksh93", "mksh", "rbash", "sh", "yash", "zsh"}
    | {"csh", "fish", "nu", "tcsh"}
)


def entry() -> pwd.struct_passwd | None:
    """The user's line in the passwd database; None when there is none."""
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        return None


def shell(environ: Mapping[str, str]) -> str:
    """The user's shell: that of the passwd entry, else `SHELL`, else `/bin/sh`; one that is not there
    does not count."""
    account = entry()
    candidates = [account.pw_shell if account else "", environ.get("SHELL", "")]
    return next((path for path in candidates if _is_program(path)), LAST_SHELL)


def login_command(shell: str) -> tuple[str, ...]:
    """How `shell` is started as a login shell."""
    return (shell, "-l") if os.path.basename(shell) in _TAKES_L else (shell,)


def home() -> str:
    """The user's home: `HOME`, else that of the passwd entry; `/` when it is no folder one can enter."""
    folder = os.path.expanduser("~")
    return folder if os.path.isabs(folder) and _is_enterable(folder) else "/"


def variables() -> dict[str, str]:
    """What a login puts into the environment of a user."""
    account = entry()
    names = {} if account is None else {"USER": account.pw_name, "LOGNAME": account.pw_name}
    return {"HOME": home(), **names}


def _is_program(path: str) -> bool:
    return os.path.isabs(path) and os.path.isfile(path) and os.access(path, os.X_OK)


def _is_enterable(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.X_OK)
