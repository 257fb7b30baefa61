"""What an operator may set for this plugin, checked.

    [plugins.shell.settings]
    shell = "/usr/bin/fish"            # or ["/usr/bin/fish", "--private"]
    cwd = "/srv"

Invariant: a setting that is none is an error with its name, never passed over: whoever wrote it meant
something by it.
"""

from __future__ import annotations

import os

import plugin_host_sdk as sdk

from . import account

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Settings", "read"]


class Settings:
    """`shell`: the program and arguments that run where no command is named. `cwd`: where they start.
    None is the account's."""

    __slots__ = ("cwd", "shell")

    def __init__(self, shell: tuple[str, ...] | None, cwd: str | None) -> None:
        self.shell = shell
        self.cwd = cwd


def read(settings: Mapping[str, object]) -> Settings:
    """The settings as this plugin uses them. Raises ExecError for one that cannot be meant."""
    if unknown := sorted(settings.keys() - {"shell", "cwd"}):
        raise _wrong(unknown[0], settings[unknown[0]], "it has no such setting; shell and cwd are all")
    return Settings(_shell(settings.get("shell")), _cwd(settings.get("cwd")))


def _shell(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str) and value:
        return account.login_command(value)
    if isinstance(value, (list, tuple)) and value and value[0]:
        words = tuple(word for word in value if isinstance(word, str))
        if len(words) == len(value):
            return words
    raise _wrong("shell", value, "it takes a program, or a list of a program and its arguments")


def _cwd(value: object) -> str | None:
    if value is None:
        return None
    folder = os.path.expanduser(value) if isinstance(value, str) else ""
    if not os.path.isabs(folder):
        raise _wrong("cwd", value, "it takes an absolute path, or one that begins with ~")
    return folder


def _wrong(name: str, value: object, what: str) -> sdk.exec.ExecError:
    return sdk.exec.ExecError(
        "The shell plugin is set up wrongly",
        f"its setting {name} is {value!r}: {what}",
        f"Correct {name} under [plugins.shell.settings] in the host's configuration.",
        retryable=False,
    )
