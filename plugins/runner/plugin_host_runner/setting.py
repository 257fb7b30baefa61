"""What an operator may set for this plugin, checked.

    [plugins.runner.settings]
    entrypoint = ["nice", "-n", "5"]
    env = {CI = "1"}
    shell = ["bash", "--norc"]
    user = "build"
    workdir = "/srv/build"
    roots = ["/srv/build"]
    at_once = 2

Invariant: a setting that is none is an error with its name, never passed over: whoever wrote it meant
something by it.
"""

from __future__ import annotations

import os

import plugin_host_sdk as sdk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Settings", "read"]

_NAMES = ("at_once", "entrypoint", "env", "roots", "shell", "user", "workdir")


class Settings:
    """`entrypoint`: words before every command. `at_once`: how many tasks run side by side."""

    __slots__ = ("at_once", "entrypoint", "surroundings")

    def __init__(
        self, entrypoint: tuple[str, ...], at_once: int, surroundings: sdk.metadata.Surroundings
    ) -> None:
        self.entrypoint = entrypoint
        self.at_once = at_once
        self.surroundings = surroundings


def read(settings: Mapping[str, object]) -> Settings:
    """The settings as this plugin uses them. Raises CallFailed for one that cannot be meant."""
    if unknown := sorted(settings.keys() - set(_NAMES)):
        what = f"it has no such setting; {', '.join(_NAMES)} are all"
        raise _wrong(unknown[0], settings[unknown[0]], what)
    shell = settings.get("shell", "sh")
    roots = settings.get("roots")
    user = settings.get("user")
    if user is not None and (isinstance(user, bool) or not isinstance(user, (str, int))):
        raise _wrong("user", user, "it takes a name or a number")
    return Settings(
        _words("entrypoint", settings.get("entrypoint", ())),
        _at_once(settings.get("at_once", 1)),
        sdk.metadata.Surroundings(
            roots=None if roots is None else _folders(roots),
            shell=(shell,) if isinstance(shell, str) and shell else _words("shell", shell, least=1),
            env=_env(settings.get("env", {})),
            user=user,
            workdir=_workdir(settings.get("workdir"), user),
        ),
    )


def _words(name: str, value: object, least: int = 0) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)) and len(value) >= least:
        words = tuple(word for word in value if isinstance(word, str))
        if len(words) == len(value):
            return words
    raise _wrong(name, value, "it takes a program and its arguments, as a list")


def _folders(value: object) -> tuple[str, ...]:
    folders = _words("roots", value)
    if not all(os.path.isabs(folder) for folder in folders):
        raise _wrong("roots", value, "it takes absolute paths of folders")
    return folders


def _env(value: object) -> dict[str, str]:
    if isinstance(value, dict):
        env = {str(name): text for name, text in value.items() if isinstance(text, str)}
        if len(env) == len(value):
            return env
    # What it holds may be secret.
    raise _wrong("env", "what it is", "it takes a table of texts")


def _workdir(value: object, user: str | int | None) -> str | None:
    """Where things start; None for the home of another user."""
    if value is None:
        if user is not None:
            return None
        home = os.path.expanduser("~")
        return home if os.path.isabs(home) and os.path.isdir(home) and os.access(home, os.X_OK) else "/"
    folder = os.path.expanduser(value) if isinstance(value, str) else ""
    if not os.path.isabs(folder):
        raise _wrong("workdir", value, "it takes an absolute path, or one that begins with ~")
    return folder


def _at_once(value: object) -> int:
    if type(value) is not int or not 1 <= value <= 256:
        raise _wrong("at_once", value, "it takes a number from 1 to 256")
    return value


def _wrong(name: str, value: object, what: str) -> sdk.CallFailed:
    return sdk.CallFailed(
        f"the runner plugin is set up wrongly: its setting {name} is {value!r}: {what}. Correct {name} "
        "under [plugins.runner.settings] in the host's configuration",
        name="rpc.invalid_params",
    )
