"""The host's configuration: `plugin-host.toml`, where it lies and what may stand in it.

Owns the type, its decoding and the search for the file; what the values do to a plugin is decided in
`override`. Invariants: no key is ignored; every path in a loaded `Configuration` is absolute; the
current folder is never searched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from plugin_host_sdk.types.discretion import Discreet

from . import document
from .constraint import (
    Checksum,
    Count,
    Environment,
    FileCount,
    FilePath,
    Line,
    Permission,
    PluginId,
    Seconds,
)
from .errors import ConfigurationError
from .wording import found, kind_of, shown

__all__ = [
    "CONFIGURATION_NAME",
    "Commands",
    "Configuration",
    "Control",
    "HealthOverride",
    "LimitsOverride",
    "Metrics",
    "PluginConfiguration",
    "RestartOverride",
    "SandboxConfiguration",
    "Warm",
    "convert",
    "find",
    "load",
    "mode_of",
    "read",
]

CONFIGURATION_NAME = "plugin-host.toml"

_MODE = 'a mode: 0o660, or its octal digits as text such as "660"'
Mode = (
    Annotated[int, Meta(ge=0, le=0o777, description=_MODE)]
    | Annotated[str, Meta(pattern=r"^0?[0-7]{3}(?![\s\S])", description=_MODE)]
)
_UMASK = 'a umask: 0o027, or its octal digits as text such as "027"'
UmaskValue = (
    Annotated[int, Meta(ge=0, le=0o777, description=_UMASK)]
    | Annotated[str, Meta(pattern=r"^0?[0-7]{3}(?![\s\S])", description=_UMASK)]
)
Name = Annotated[
    str,
    Meta(pattern=r"^[^\x00-\x20:\x7f]+(?![\s\S])", description="a user's or group's name or number"),
]
ModuleName = Annotated[
    str,
    Meta(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*(?![\s\S])", description="the dotted name of a module"),
]
Port = Annotated[int, Meta(ge=0, le=65535, description="a port, 0 for any that is free")]
HostPort = Annotated[
    str,
    Meta(
        pattern=r"^(\[[^\x00-\x20\[\]\x7f]+\]|[^\x00-\x20:\[\]\x7f]+):[0-9]{1,5}(?![\s\S])",
        description="HOST:PORT, with an IPv6 address in brackets, as in [::1]:7411",
    ),
]
Ids = Annotated[tuple[PluginId, ...], Meta(min_length=1, description="a list of ids, not empty")]


class RestartOverride(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What replaces single values of a manifest's `restart`."""

    policy: Literal["never", "on-failure", "always"] | None = None
    max_failures: Count | None = None
    window_s: Seconds | None = None
    backoff_initial_s: Seconds | None = None
    backoff_max_s: Seconds | None = None


class HealthOverride(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What replaces single values of a manifest's `health`."""

    interval_s: Seconds | None = None
    timeout_s: Seconds | None = None
    misses: Count | None = None
    action: Literal["restart", "report"] | None = None


class LimitsOverride(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What replaces single values of a manifest's `limits`."""

    memory_bytes: Count | None = None
    cpu_s: Seconds | None = None
    open_files: FileCount | None = None
    processes: Count | None = None
    address_space_bytes: Count | None = None


class SandboxConfiguration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plugin in a sandbox may reach. `readable` empty shows it the whole file system."""

    enabled: bool = True
    writable: tuple[FilePath, ...] = ()
    readable: tuple[FilePath, ...] = ()
    network: bool = False


class PluginConfiguration(Discreet, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator says about one plugin; what is absent leaves the manifest's word.

    `permissions` absent grants all that is asked, an empty list grants none. `group` absent is the
    primary group of `user`.
    """

    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    env: Environment = msgspec.field(default_factory=dict)
    restart: RestartOverride = RestartOverride()
    health: HealthOverride = HealthOverride()
    limits: LimitsOverride = LimitsOverride()
    activation: Literal["eager", "lazy"] | None = None
    permissions: tuple[Permission, ...] | None = None
    checksum: Checksum | None = None
    user: Name | None = None
    group: Name | None = None
    umask: UmaskValue | None = None
    no_new_privs: bool | None = None
    sandbox: SandboxConfiguration | None = None

    def __post_init__(self) -> None:
        if self.group is not None and self.user is None:
            raise ValueError("expected user beside group, found group alone")


class Control(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The control socket: where it is, who may open it, and who may use another client's sessions.

    `listen` is a TCP port beside it, for those who have the key in `psk_file`.
    """

    socket: FilePath | None = None
    group: Name | None = None
    mode: Mode | None = None
    share: Literal["user", "owner", "token"] = "user"
    listen: HostPort | None = None
    psk_file: FilePath | None = None


class Commands(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON command listeners: their folder, who may open them, and whether replies have tracebacks."""

    dir: FilePath | None = None
    mode: Mode | None = None
    group: Name | None = None
    debug: bool = False


class Metrics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where `plugin-host run` tells its metrics over HTTP; without a port, nowhere.

    `address` is loopback unless the operator says otherwise: who can reach it can read them.
    """

    port: Port | None = None
    address: Line = "127.0.0.1"


class Warm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When Python plugins are forked from a process that has the SDK, and `imports`, loaded.

    `auto` does it from the third launch of a host on, `always` from the first.
    """

    launch: Literal["auto", "always", "never"] = "auto"
    imports: tuple[ModuleName, ...] = ()


class Configuration(Discreet, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """All of `plugin-host.toml`; without a file, `Configuration()`.

    `metadata` is what a host begins with, by name.
    """

    plugin_dirs: tuple[FilePath, ...] = ()
    entry_points: bool = True
    only: Ids | None = None
    block: tuple[Line, ...] = ()
    plugins: dict[PluginId, PluginConfiguration] = msgspec.field(default_factory=dict)
    control: Control = Control()
    commands: Commands = Commands()
    metrics: Metrics = Metrics()
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    warm: Warm = Warm()

    @property
    def file(self) -> str | None:
        """Where it was loaded from, for messages; None for one that was made by a program."""
        name: str | None = self.__dict__.get("file")
        return name


def find(
    given: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None
) -> Path | None:
    """The absolute path of the file to load, or None when there is none to be had.

    `given` wins, then `PLUGIN_HOST_CONFIG`; a file that either names need not exist here, and `load`
    will say so. Else the one in the user's configuration folder, when it exists.
    """
    environ = os.environ if environ is None else environ
    named = os.fspath(given) if given is not None else environ.get("PLUGIN_HOST_CONFIG")
    if named:
        return Path(os.path.abspath(named))
    base = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # the XDG rules call a relative one invalid
        home = environ.get("HOME") or os.path.expanduser("~")
        base = os.path.join(home, ".config")
    file = os.path.join(base, "plugin-host", CONFIGURATION_NAME)
    return Path(file) if os.path.isabs(file) and _may_exist(file) else None


def load(file: str | os.PathLike[str]) -> Configuration:
    """The configuration in `file`, its paths absolute; raises `ConfigurationError`."""
    name = shown(os.fspath(file))
    loaded = _with_absolute_paths(convert(read(file), file=name), os.path.abspath(file), name)
    loaded.__dict__["file"] = name  # not a field: it cannot stand in the file
    return loaded


def read(file: str | os.PathLike[str]) -> dict[str, Any]:
    """What `file` holds, unchecked; raises `ConfigurationError` when it cannot be read as TOML."""
    import tomllib  # most hosts have no configuration

    name = shown(os.fspath(file))
    data = document.read(file, ConfigurationError)
    try:
        return tomllib.loads(document.text(data, file=name, blame=ConfigurationError))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name}: expected TOML: {error}", file=name) from None
    except ValueError:  # the one that the parser lets through: int() reads so many digits and no more
        text = "expected TOML: a number has more digits than Python reads"
        raise ConfigurationError(f"{name}: {text}", file=name) from None
    except RecursionError:
        raise ConfigurationError(f"{name}: $: nested too deeply", file=name, path="$") from None


def convert(raw: Any, *, file: str) -> Configuration:
    """The configuration that `raw`, builtins as TOML gives them, stands for; its paths as written.

    Raises `ConfigurationError`, which names `file`.
    """
    configuration = document.convert(raw, Configuration, file=file, blame=ConfigurationError)
    for plugin, entry in configuration.plugins.items():
        _check_settings(entry.settings, f"$.plugins.{plugin}.settings", file)
    _check_settings(configuration.metadata, "$.metadata", file)
    return configuration


def mode_of(mode: int | str) -> int:
    """The permission bits that a `mode` of the configuration stands for."""
    return mode if isinstance(mode, int) else int(mode, 8)


def _may_exist(file: str) -> bool:
    """Also true when it cannot be told: a block list must not vanish with a permission."""
    try:
        os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _check_settings(value: Any, path: str, file: str) -> None:
    """Refuse what TOML can say and the wire cannot carry: dates, times, numbers beyond 64 bits."""
    if isinstance(value, dict):
        for key, entry in value.items():
            _check_settings(entry, f"{path}.{shown(key)}", file)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            _check_settings(entry, f"{path}[{index}]", file)
    elif not isinstance(value, str | int | float):
        text = "expected text, a number, true or false, found a date or time"
        raise ConfigurationError(f"{file}: {path}: {text}; quote it", file=file, path=path)
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        text = f"expected a whole number of at most 64 bits, found {kind_of(value)} beyond that"
        raise ConfigurationError(f"{file}: {path}: {text}", file=file, path=path)


def _with_absolute_paths(configuration: Configuration, file: str, name: str) -> Configuration:
    base = os.path.dirname(file)

    def absolute(path: str, place: str) -> str:
        expanded = os.path.expanduser(path)
        if expanded.startswith("~"):
            text = f"expected the home folder of a user, found none for {found(path)}"
            raise ConfigurationError(f"{name}: {place}: {text}", file=name, path=place)
        return os.path.join(base, expanded)

    dirs = tuple(
        absolute(path, f"$.plugin_dirs[{index}]") for index, path in enumerate(configuration.plugin_dirs)
    )
    plugins = {
        plugin: _with_absolute_sandbox(entry, f"$.plugins.{plugin}.sandbox", absolute)
        for plugin, entry in configuration.plugins.items()
    }
    control, commands = configuration.control, configuration.commands
    if control.socket is not None:
        socket = absolute(control.socket, "$.control.socket")
        control = msgspec.structs.replace(control, socket=socket)
    if control.psk_file is not None:
        key = absolute(control.psk_file, "$.control.psk_file")
        control = msgspec.structs.replace(control, psk_file=key)
    if commands.dir is not None:
        folder = absolute(commands.dir, "$.commands.dir")
        commands = msgspec.structs.replace(commands, dir=folder)
    return msgspec.structs.replace(
        configuration, plugin_dirs=dirs, plugins=plugins, control=control, commands=commands
    )


def _with_absolute_sandbox(
    entry: PluginConfiguration, place: str, absolute: Callable[[str, str], str]
) -> PluginConfiguration:
    if entry.sandbox is None:
        return entry
    paths = {
        name: tuple(absolute(path, f"{place}.{name}[{n}]") for n, path in enumerate(listed))
        for name, listed in (("writable", entry.sandbox.writable), ("readable", entry.sandbox.readable))
    }
    return msgspec.structs.replace(entry, sandbox=msgspec.structs.replace(entry.sandbox, **paths))
