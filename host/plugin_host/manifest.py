"""The manifest: what a plugin says of itself before it is launched.

Owns the types behind `plugin_manifest.json`, from which the JSON schema is generated too, and their
decoding. Does not own where manifests lie, nor what a launch does with them. Invariant: a `Manifest`
that came out of `load`, `decode` or `convert` satisfies every constraint written here; anything else
is a `ManifestError` that names the file, the path inside it, what was expected and what was found.
"""

from __future__ import annotations

import os
import re
from typing import Any, Literal

import msgspec
from msgspec import Struct

from plugin_host_sdk.types.discretion import Discreet

from . import document
from .constraint import (
    Argv,
    Capability,
    Checksum,
    Count,
    EntryPoint,
    Environment,
    FileCount,
    FilePath,
    Line,
    Permission,
    PluginId,
    Prose,
    Seconds,
    Umask,
    VariableName,
    Version,
)
from .errors import ManifestError
from .wording import found, shown

__all__ = [
    "MANIFEST_NAME",
    "Health",
    "Launch",
    "Limits",
    "Manifest",
    "Restart",
    "SandboxNeeds",
    "convert",
    "decode",
    "load",
]

MANIFEST_NAME = "plugin_manifest.json"
MANIFEST_VERSION = 1

# Each key ends so, and parts of some texts look so.
_KEY_END = r'"[ \t\r\n]*:'
_HALF_OF_A_PAIR = (
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)


class Launch(Discreet, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the plugin's process is started.

    Exactly one of `entry_point` (Python, served by the SDK) and `argv` (any program). `interpreter`
    or `venv` choose the Python of an entry point; they and `cwd` are absolute or relative to the
    manifest's folder. `inherit_env` names variables of the host that the plugin gets as well. With
    `no_new_privs` it gains no rights through set-user-id programs, nor does what it starts.
    """

    entry_point: EntryPoint | None = None
    argv: Argv | None = None
    interpreter: FilePath | None = None
    venv: FilePath | None = None
    cwd: FilePath | None = None
    env: Environment = msgspec.field(default_factory=dict)
    inherit_env: tuple[VariableName, ...] = ()
    umask: Umask | None = None
    no_new_privs: bool = False
    start_timeout_s: Seconds = 10.0
    stop_timeout_s: Seconds = 5.0
    warm: bool = True

    def __post_init__(self) -> None:
        if (self.entry_point is None) == (self.argv is None):
            which = "neither" if self.argv is None else "both"
            raise ValueError(f"expected exactly one of entry_point and argv, found {which}")
        if self.interpreter is not None and self.venv is not None:
            raise ValueError("expected at most one of interpreter and venv, found both")
        if self.argv is None:
            return
        if not self.argv[0]:
            raise ValueError("expected the program's name first in argv, found empty text")
        if self.interpreter is not None or self.venv is not None:
            which = "venv" if self.interpreter is None else "interpreter"
            raise ValueError(
                f"expected {which} beside entry_point only, found it beside argv; "
                "name the program itself in argv[0]"
            )


class Restart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an ended plugin is started again; `max_failures` within `window_s` give it up."""

    policy: Literal["never", "on-failure", "always"] = "on-failure"
    max_failures: Count = 5
    window_s: Seconds = 180.0
    backoff_initial_s: Seconds = 0.5
    backoff_max_s: Seconds = 30.0


class Health(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a silent plugin is asked for a sign of life, and when the lack of one is acted upon.

    A question that is not answered within `timeout_s`, and every further interval without an answer, is a
    miss; `misses` in a row make the plugin unresponsive. Then `action`: end it as if it had died, so that
    `restart` decides, or only tell.
    """

    interval_s: Seconds = 10.0
    timeout_s: Seconds = 3.0
    misses: Count = 3
    action: Literal["restart", "report"] = "restart"


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the plugin may use; a limit that is absent is none.

    `memory_bytes` and `processes` count for all processes of the plugin together, the others for each of
    them by itself. Threads are counted among `processes`, as the kernel does.
    """

    memory_bytes: Count | None = None
    cpu_s: Seconds | None = None
    open_files: FileCount | None = None
    processes: Count | None = None
    address_space_bytes: Count | None = None


class SandboxNeeds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the plugin needs when the operator puts it into a sandbox; it grants nothing.

    `writable` are paths, absolute or relative to the manifest's folder, that it writes to.
    """

    writable: tuple[FilePath, ...] = ()
    network: bool = False


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plugin says of itself before it is launched.

    `capabilities` absent: as the plugin registers them. `permissions` are asked for here and granted
    by the host's configuration. `idle_stop_s` counts for lazy plugins only. `checksum` covers the
    manifest's folder without the manifest itself. `$schema` is for editors and means nothing here.
    """

    id: PluginId
    version: Version
    launch: Launch
    name: Line = ""
    description: Prose = ""
    authors: tuple[Line, ...] = ()
    license: Line = ""
    homepage: Line = ""
    manifest_version: Literal[1] = 1
    protocol: Literal["plugin-host", "msgpack-rpc"] = "plugin-host"
    capabilities: tuple[Capability, ...] | None = None
    permissions: tuple[Permission, ...] = ()
    activation: Literal["eager", "lazy"] = "eager"
    idle_stop_s: Seconds = 300.0
    checksum: Checksum | None = None
    restart: Restart = Restart()
    health: Health = Health()
    limits: Limits = Limits()
    sandbox: SandboxNeeds = SandboxNeeds()
    settings_schema: dict[str, Any] | None = None
    schema_url: Line | None = msgspec.field(name="$schema", default=None)

    def __post_init__(self) -> None:
        if self.protocol == "msgpack-rpc" and self.launch.argv is None:
            raise ValueError(
                "expected launch.argv for protocol msgpack-rpc, found launch.entry_point, "
                "which is served by the SDK and so speaks plugin-host"
            )


def load(file: str | os.PathLike[str]) -> Manifest:
    """The manifest in `file`; raises `ManifestError`."""
    return decode(document.read(file, ManifestError), file=shown(os.fspath(file)))


def decode(data: bytes, *, file: str) -> Manifest:
    """The manifest in `data`, JSON as UTF-8; `file` is named in the `ManifestError` it may raise."""
    text = document.text(data, file=file, blame=ManifestError)
    if not text.strip():
        raise ManifestError(f"{file}: expected a JSON object, found an empty file", file=file)
    try:
        # The hook lets an overlong number become infinity, which is then refused by its own field.
        raw = msgspec.json.Decoder(float_hook=float).decode(text)
    except msgspec.DecodeError as error:
        raise ManifestError(f"{file}: {_malformed(error, text)}", file=file) from None
    except RecursionError:
        raise ManifestError(f"{file}: $: nested too deeply", file=file, path="$") from None
    if len(re.findall(_KEY_END, text)) != _key_count(raw):  # else it need not be read twice
        _refuse_repetition(text, file)
    return convert(raw, file=file)


def _key_count(part: Any) -> int:
    """How many keys there are in all objects."""
    if isinstance(part, dict):
        return len(part) + sum(map(_key_count, part.values()))
    return sum(map(_key_count, part)) if isinstance(part, list) else 0


def _refuse_repetition(text: str, file: str) -> None:
    """Two values for one key: the one that does not count may be the one that was meant."""
    import json  # needed for an odd manifest only

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                words = (
                    f"expected each key of an object once, found {found(key)} twice; remove one of the two"
                )
                raise ManifestError(f"{file}: {words}", file=file)
            seen.add(key)

    json.loads(text, object_pairs_hook=look, parse_int=float)


def convert(raw: Any, *, file: str) -> Manifest:
    """The manifest that `raw`, builtins as JSON gives them, stands for; raises `ManifestError`."""
    if isinstance(raw, dict):
        version = raw.get("manifest_version", MANIFEST_VERSION)
        if isinstance(version, int) and version != MANIFEST_VERSION:
            # First of all, because a later version may well have keys that this one does not know.
            text = f"expected {MANIFEST_VERSION}, the version this host reads, found {found(version)}"
            path = "$.manifest_version"
            raise ManifestError(f"{file}: {path}: {text}", file=file, path=path)
    return document.convert(raw, Manifest, file=file, blame=ManifestError)


def _malformed(error: msgspec.DecodeError, text: str) -> str:
    what, position = _first_fault(error, text)
    # One character: what is cut out of its place may be part of a secret.
    seen = text[position : position + 1]
    seen = found(seen) if seen else "the end of the file"
    offset = len(text[:position].encode())
    return f"expected JSON, found {seen} at {document.place(text.encode(), offset)}: {what}"


def _first_fault(error: msgspec.DecodeError, text: str) -> tuple[str, int]:
    """What is wrong and at which character.

    Asked of the standard library, which knows the place exactly; msgspec, which is stricter, is taken
    at its word for what only it refuses.
    """
    import json  # needed for a broken manifest only

    try:
        json.loads(text, parse_int=float)
    except json.JSONDecodeError as known:
        return known.msg, known.pos
    except RecursionError:
        pass
    if match := re.fullmatch(r"JSON is malformed: (.*) \(byte (\d+)\)", str(error)):
        before = text.encode()[: int(match[2])]
        return match[1], len(before.decode("utf-8", "replace"))
    if half := re.search(_HALF_OF_A_PAIR, text):
        return "half of a surrogate pair", half.start()
    number = re.search(r"\d{1000}", text)
    return str(error).partition(" - at ")[0], number.start() if number else len(text)
