"""What an operator may set for this plugin, checked: the host's settings, and behind them a file's.

    [plugins.automation.settings]
    allow_reboot = true
    roots = ["/srv", "/etc/myapp"]

Invariant: a setting that is none is an error with its name, never passed over. The file is read once, and
again when a reload is asked for; one that cannot be used changes nothing.
"""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from plugin_host_sdk.errors import ActionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FirstRun", "Reading", "Settings", "current", "read"]

Folder = Annotated[str, Meta(pattern=r"\A/")]
Text = Annotated[str, Meta(min_length=1)]
Command = Annotated[tuple[str, ...], Meta(min_length=1)]


class FirstRun(Struct, frozen=True, forbid_unknown_fields=True):
    """A script that runs once. `match` are shell patterns for properties, which all have to match."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    file: Folder
    executable: Text | None = None
    timeout: Annotated[float, Meta(gt=0)] | None = None
    match: dict[str, str] = msgspec.field(default_factory=dict)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What is in force; the manifest says what each of them means."""

    config: Folder | None = None
    allow_reboot: bool = False
    allow_shutdown: bool = False
    reboot_command: Command = ("/sbin/shutdown", "-r", "now")
    shutdown_command: Command = ("/sbin/shutdown", "-h", "now")
    path: Text | None = None
    script_dir: Folder | None = None
    result_bytes: Annotated[int, Meta(ge=0, le=4 * 1024 * 1024)] = 256 * 1024
    roots: tuple[Folder, ...] | None = None
    state_dir: Folder | None = None
    registration_key_file: Folder | None = None
    first_run: tuple[FirstRun, ...] = ()

    @property
    def state_folder(self) -> str:
        """`state_dir`, or what systems have for that."""
        if self.state_dir is not None:
            return self.state_dir
        if os.geteuid() == 0:
            return "/var/lib/plugin-host-automation"
        base = os.environ.get("XDG_STATE_HOME", "")
        if not os.path.isabs(base):
            base = os.path.expanduser("~/.local/state")
        return os.path.join(base, "plugin-host-automation")


# msgspec looks at a type when it is first used; two threads that do it at once crash it.
msgspec.convert({}, Settings)

_files: dict[str, dict[str, Any]] = {}


class Reading(NamedTuple):
    """What a file would make of the settings; `adopt` puts it in force."""

    settings: Settings
    adopt: Callable[[], None]


def current(settings: Mapping[str, Any]) -> Settings:
    """The settings of now: those of the host, and behind them those of the file as it was last read.

    Raises ActionFailed for one that cannot be meant.
    """
    config = settings.get("config")
    if not isinstance(config, str):
        return _checked(dict(settings), "the host's configuration")
    if config not in _files:
        read(settings).adopt()
    return _checked(_files[config] | dict(settings), config)


def read(settings: Mapping[str, Any]) -> Reading:
    """Read the file again. Raises ActionFailed as `current` does, and for one that cannot be read."""
    config = settings.get("config")
    found = _load(config) if isinstance(config, str) else {}
    wanted = _checked(found | dict(settings), config or "the host's configuration")

    def adopt() -> None:
        if isinstance(config, str):
            _files[config] = found

    return Reading(wanted, adopt)


def _load(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        raise ActionFailed(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ActionFailed(f"{path} is no TOML: {error}") from None
    if "config" in found:
        raise ActionFailed(f"{path} names a config, and that is the host's to say")
    return found


def _checked(found: dict[str, Any], where: str) -> Settings:
    try:
        return msgspec.convert(found, Settings)
    except msgspec.ValidationError as error:
        raise ActionFailed(f"the automation plugin is set up wrongly, see {where}: {error}") from None
