"""Actions as both sides of the wire speak of them: what is asked, what is answered, what is sent beside.

One request Struct for each kind of action, with the kind in `kind`; `KINDS` leads from a kind to the
Structs of its request and its result. What cannot be meant is refused when the Struct is made, by
ValueError, on either side. Unknown fields are ignored, so the maps can grow.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from plugin_host_sdk.protocol import SESSION_ID_CHARACTERS, WINDOW_BYTES

from .discretion import Discreet

__all__ = [
    "KINDS",
    "Accepted",
    "Cancel",
    "Cancelled",
    "Done",
    "Exit",
    "File",
    "Finished",
    "Heartbeat",
    "HeartbeatResult",
    "Keepalive",
    "KeyResult",
    "Kind",
    "Kinds",
    "Properties",
    "Reboot",
    "Register",
    "RegisterResult",
    "ReloadConfig",
    "ReloadResult",
    "Request",
    "RunAs",
    "RunScript",
    "Script",
    "ScriptReport",
    "ScriptResult",
    "Shutdown",
    "Totals",
    "Trigger",
    "UpdateKey",
    "UploadFile",
    "UploadFileAndExit",
    "UploadResult",
    "key_fingerprint",
    "key_proof",
    "mode_bits",
]

ActionId = Annotated[str, Meta(min_length=1, max_length=SESSION_ID_CHARACTERS, pattern=r"\A[!-~]+\Z")]
StreamId = Annotated[int, Meta(ge=1)]
Window = Annotated[int, Meta(ge=1, le=2**30)]
Count = Annotated[int, Meta(ge=0)]
Number = Annotated[int, Meta(ge=0, le=2**32 - 2)]
Seconds = Annotated[float, Meta(gt=0)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Key = Annotated[str, Meta(min_length=1, max_length=512)]
Nonce = Annotated[str, Meta(min_length=1, max_length=512)]

_OCTAL = frozenset("01234567")


def mode_bits(mode: int | str) -> int:
    """The permission bits that `mode` means: an int is the mode itself, a text is octal digits.

    Raises ValueError for anything else: "798", 0o10000, -1.
    """
    if isinstance(mode, str):
        if not mode or not _OCTAL.issuperset(mode) or int(mode, 8) > 0o7777:
            raise ValueError(f"mode {mode!r} is not one to four octal digits, like '640'")
        return int(mode, 8)
    if type(mode) is not int or not 0 <= mode <= 0o7777:
        raise ValueError(f"mode {mode!r} is no int of 0 to 0o7777, like 0o640")
    return mode


def key_proof(key: str, nonce: str) -> str:
    """What shows that one has `key` without saying it: HMAC-SHA256 over the nonce, in hex digits."""
    import hmac  # few need it

    return hmac.new(key.encode(), b"plugin-host key proof\0" + nonce.encode(), "sha256").hexdigest()


def key_fingerprint(key: str) -> str:
    """What tells keys apart and gives none away: 16 hex digits."""
    import hashlib  # few need it

    data = key.encode("utf-8", "surrogateescape")
    return hashlib.sha256(b"plugin-host key fingerprint\0" + data).hexdigest()[:16]


def _check_path(path: str) -> None:
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"path {path!r} is no absolute path")


class RunAs(Struct, frozen=True):
    """As whom: the plugin's own user and group with `inherit`, else those that are named.

    A `uid` without a `gid` has the user's own group, a `gid` alone keeps the user. Naming one of them is
    enough to say that nothing is inherited; neither of them without `inherit` is a ValueError.
    """

    inherit: bool = True
    uid: Number | None = None
    gid: Number | None = None

    def __post_init__(self) -> None:
        if self.uid is not None or self.gid is not None:
            force_setattr(self, "inherit", False)
        elif not self.inherit:
            raise ValueError("a user is named by uid or gid, or inherited")


class File(Discreet, frozen=True):
    """A file to be written. `mode` is an int that is the mode (0o640) or octal digits ("640")."""

    path: str
    owner: RunAs = RunAs()
    mode: int | str = 0o644
    data: bytes | None = None

    def __post_init__(self) -> None:
        _check_path(self.path)
        mode_bits(self.mode)


class Script(Discreet, frozen=True, kw_only=True):
    """A script. `environment` stands in the place of the inherited one when it is not empty.

    `executable` is the program that gets the script, with words of its own if it is a list; without it the
    `#!` line decides, else /bin/sh. `arguments` are the script's own. `files` are written before it runs.
    """

    name: Name = "script"
    data: bytes
    run_as: RunAs = RunAs()
    environment: dict[str, str] = field(default_factory=dict)
    working_directory: str | None = None
    executable: str | tuple[str, ...] | None = None
    arguments: tuple[str, ...] = ()
    files: tuple[File, ...] = ()

    def __post_init__(self) -> None:
        if self.working_directory is not None:
            _check_path(self.working_directory)
        if self.executable is not None and not (self.executable and self.executable[0]):
            raise ValueError("the executable is empty: leave it out, or name a program")


class ScriptResult(Discreet, frozen=True, kw_only=True):
    """How a script ended. `exec_error` says why it could not run at all, and is "" when it ran.

    `code` is its exit status, `signal` the name of what killed it, `reason` either in words; a script that
    was cancelled or ran out of time (`timed_out`) says so there, and has no success, whatever its status.
    `stdout` and `stderr` are the newest bytes of each; `truncated` when more was put out than is kept:
    `stdout_bytes`, `stderr_bytes`. `elapsed` in seconds.
    """

    success: bool
    exec_error: str = ""
    code: int | None = None
    signal: str | None = None
    reason: str = ""
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_bytes: Count = 0
    stderr_bytes: Count = 0
    truncated: bool = False
    elapsed: float = 0.0
    timed_out: bool = False

    def __str__(self) -> str:
        """All of it in one line; what is no printable character is escaped."""
        parts = [f"success={self.success}"]
        if self.exec_error:
            parts.append(f"exec_error={self.exec_error!r}")
        parts += [f"code={self.code}"] if self.code is not None else []
        parts += [f"signal={self.signal}"] if self.signal else []
        parts += [f"reason={self.reason!r}"] if self.reason else []
        for name in ("stdout", "stderr"):
            text = getattr(self, name).decode("utf-8", "backslashreplace")
            parts.append(f"{name}={text!r}")
        parts += ["truncated"] if self.truncated else []
        return f"ScriptResult({', '.join(parts)}, elapsed={self.elapsed:.3f})"


class Properties(Struct, frozen=True, kw_only=True):
    """What tells one machine from another."""

    hostname: str = ""
    kernel_name: str = ""
    kernel_version: str = ""
    distribution_name: str = ""
    distribution_version: str = ""


# What is asked.


class RunScript(Script, frozen=True, kw_only=True):
    """Run a script; killed with all that it started when it takes longer than `timeout` seconds."""

    kind: ClassVar[str] = "run_script"
    timeout: Seconds | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.timeout is not None and not 0 < self.timeout < math.inf:
            raise ValueError(f"timeout is a number of seconds above 0, not {self.timeout!r}")


class UploadFile(Struct, frozen=True, kw_only=True):
    """Write the data of the action to `path`, in one step: whoever reads finds the old file or the new.

    `size` and `sha256` (64 hex digits) are checked where they are given. `parents` makes folders that are
    missing. Symbolic links are never followed.
    """

    kind: ClassVar[str] = "upload_file"
    path: str
    owner: RunAs = RunAs()
    mode: int | str = 0o644
    size: Count | None = None
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")] | None = None
    parents: bool = False

    def __post_init__(self) -> None:
        _check_path(self.path)
        mode_bits(self.mode)


class UploadFileAndExit(UploadFile, frozen=True, kw_only=True):
    """The same, and then the plugin's process ends, to be started anew."""

    kind: ClassVar[str] = "upload_file_and_exit"


class ReloadConfig(Struct, frozen=True, kw_only=True):
    """Read the plugin's own configuration again."""

    kind: ClassVar[str] = "reload_config"


class Exit(Struct, frozen=True, kw_only=True):
    """The plugin's process ends, after its answer was sent."""

    kind: ClassVar[str] = "exit"


class Reboot(Struct, frozen=True, kw_only=True):
    """The machine starts anew. Refused unless the plugin's settings allow it."""

    kind: ClassVar[str] = "reboot"


class Shutdown(Struct, frozen=True, kw_only=True):
    """The machine is switched off. Refused unless the plugin's settings allow it."""

    kind: ClassVar[str] = "shutdown"


class UpdateKey(Discreet, frozen=True, kw_only=True):
    """One step of a change of keys. Up to `drop` the old key is valid, whatever fails.

    `offer` gives a new `key`, answered with a nonce: from then on both are valid; `prove` shows by `proof`,
    `key_proof(key, nonce)`, that the asker has kept it; `drop` ends the old one. `withdraw` forgets a new
    key, and the old one stays; with a `fingerprint`, `key_fingerprint(key)`, that key and no other.
    """

    kind: ClassVar[str] = "update_key"
    phase: Literal["offer", "prove", "drop", "withdraw"]
    key: Key | None = None
    proof: Annotated[str, Meta(max_length=128)] | None = None
    fingerprint: Annotated[str, Meta(max_length=128)] | None = None

    def __post_init__(self) -> None:
        if self.fingerprint is not None and self.phase != "withdraw":
            raise ValueError("a fingerprint goes with phase 'withdraw' and no other")
        for phase, name in (("offer", "key"), ("prove", "proof")):
            if (self.phase == phase) != (getattr(self, name) is not None):
                raise ValueError(f"a {name} goes with phase {phase!r} and no other")


class Register(Discreet, frozen=True, kw_only=True):
    """Introduce a machine by a registration `key` and its `properties`; without them, the plugin's own."""

    kind: ClassVar[str] = "register"
    key: Key
    properties: Properties | None = None


class Heartbeat(Struct, frozen=True, kw_only=True):
    """Ask for a sign of life; `nonce` comes back."""

    kind: ClassVar[str] = "heartbeat"
    nonce: Nonce


# What is answered.


class UploadResult(Struct, frozen=True, kw_only=True):
    """What was written; `replaced` when there was a file before."""

    path: str
    size: Count
    sha256: str
    replaced: bool = False


class ReloadResult(Struct, frozen=True, kw_only=True):
    """The configuration was read. `restart` when it takes a restart of the plugin to be in force."""

    restart: bool = False


class Done(Struct, frozen=True, kw_only=True):
    """It will be done now that this has been sent; `message` says what."""

    message: str = ""


class KeyResult(Struct, frozen=True, kw_only=True):
    """Where a change of keys is. `nonce` is to be proved after an offer; `fingerprint` tells new keys."""

    state: Literal["offered", "proved", "dropped", "withdrawn"]
    nonce: str = ""
    fingerprint: str = ""


class ScriptReport(Struct, frozen=True, kw_only=True):
    """A first-run script: its result, and whether it `ran` now or with an earlier registration."""

    name: str
    ran: bool
    result: ScriptResult


class RegisterResult(Discreet, frozen=True, kw_only=True):
    """The new key of the machine, and the first-run scripts in the order in which they ran.

    A machine that had a key keeps it until the new one is proved with `nonce`; "" where it had none.
    """

    key: str
    nonce: str = ""
    scripts: tuple[ScriptReport, ...] = ()


class HeartbeatResult(Struct, frozen=True, kw_only=True):
    """`versions` by name: plugin, sdk, protocol, python."""

    nonce: str
    versions: dict[str, str] = field(default_factory=dict)
    properties: Properties = Properties()


Request = (
    RunScript
    | UploadFile
    | UploadFileAndExit
    | ReloadConfig
    | Exit
    | Reboot
    | Shutdown
    | UpdateKey
    | Register
    | Heartbeat
)


class Kind(NamedTuple):
    """One kind of action: the Structs of its request and its result."""

    request: type[Request]
    result: type[Struct]
    takes_data: bool = False


KINDS: dict[str, Kind] = {
    "run_script": Kind(RunScript, ScriptResult),
    "upload_file": Kind(UploadFile, UploadResult, takes_data=True),
    "upload_file_and_exit": Kind(UploadFileAndExit, UploadResult, takes_data=True),
    "reload_config": Kind(ReloadConfig, ReloadResult),
    "exit": Kind(Exit, Done),
    "reboot": Kind(Reboot, Done),
    "shutdown": Kind(Shutdown, Done),
    "update_key": Kind(UpdateKey, KeyResult),
    "register": Kind(Register, RegisterResult),
    "heartbeat": Kind(Heartbeat, HeartbeatResult),
}
"""Every kind of action, by name."""


# The wire.


class Trigger(Struct, frozen=True, kw_only=True):
    """Parameters of `action.trigger`. `window` is the caller's credit for each of stdout and stderr.

    `data` is the stream of the action's input, for kinds that take some.
    """

    action: ActionId
    kind: str
    request: dict[str, Any] = field(default_factory=dict)
    stdout: StreamId
    stderr: StreamId
    window: Window = WINDOW_BYTES
    data: StreamId | None = None


class Accepted(Struct, frozen=True, kw_only=True):
    """The answer to it: the action runs. `data_window` is the first credit of the input."""

    data_window: Count | None = None


class Totals(Struct, frozen=True, kw_only=True):
    """How many bytes of output there were."""

    stdout: Count = 0
    stderr: Count = 0


class Finished(Struct, frozen=True, kw_only=True):
    """`action.finished`, exactly one for an action that was accepted: a result, or the map of an error.

    To be acted on when the bytes of `totals` have arrived.
    """

    action: ActionId
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    totals: Totals = Totals()


class Keepalive(Struct, frozen=True, kw_only=True):
    """`action.keepalive`: it still runs, `elapsed_ms` after it began."""

    action: ActionId
    elapsed_ms: float


class Cancel(Struct, frozen=True, kw_only=True):
    """Parameters of `action.cancel`. What is asked to end is killed after `grace_ms`."""

    action: ActionId
    reason: str = ""
    grace_ms: Annotated[float, Meta(ge=0)] = 2000.0


class Cancelled(Struct, frozen=True, kw_only=True):
    """The answer to it."""

    state: Literal["cancelling", "not_running"]


class Kinds(Struct, frozen=True, kw_only=True):
    """The answer to `action.kinds`: those that the plugin has, sorted."""

    kinds: tuple[str, ...] = ()
