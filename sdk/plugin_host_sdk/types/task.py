"""Tasks as both sides of the wire speak of them: what is asked, what is answered, what is.

The Structs are the parameters and results of the `metadata.*` requests about tasks, field by field.
A plugin asks with `ExecuteRequest`, `StartRequest`, `SuccessRequest` and `FailedRequest`; a host with
`ArtifactRequest`, `FolderRequest`, `ShellRequest`, `KillRequest` and `CloseRequest`. Unknown fields are
ignored, so the maps can grow. Times on the wire are milliseconds, times of files seconds since the epoch,
sizes bytes.

A path is text. Where it is no UTF-8 the text shows it with escapes, and `raw` beside it is the path.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from plugin_host_sdk.protocol import DEFAULT_COLS, DEFAULT_ROWS, WINDOW_BYTES

from .discretion import Discreet
from .session import Count, Extent, SessionOptions, StreamId, Window

__all__ = [
    "ENTRIES",
    "ArtifactInfo",
    "ArtifactRequest",
    "ArtifactSent",
    "CloseRequest",
    "ExecuteRequest",
    "FailedRequest",
    "FolderEntry",
    "FolderPart",
    "FolderRequest",
    "KillAnswer",
    "KillRequest",
    "ShellRequest",
    "StartRequest",
    "SuccessRequest",
    "TaskOrder",
]

ENTRIES = 1_000  # of a folder, in one part

TaskId = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"\A[!-~]+\Z")]
AbsolutePath = Annotated[str, Meta(min_length=1, max_length=32_768, pattern=r"\A/")]
RawPath = Annotated[bytes, Meta(min_length=1, max_length=32_768)]
Milliseconds = Annotated[float, Meta(ge=0, le=1e12)]
ExitCode = Annotated[int, Meta(ge=-(2**31), le=2**32 - 1)]


# From the plugin.


class ExecuteRequest(Struct, frozen=True, kw_only=True):
    """`metadata.execute`: the plugin takes a task when there is one. `log` is the stream of its log, a
    number that the plugin reserved; a host that answers otherwise than with a task forgets it."""

    log: StreamId


class TaskOrder(Discreet, frozen=True, kw_only=True):
    """The answer to `metadata.execute`: what is to be run.

    `command` is added to what the worker runs everything with. `env` is added to the worker's environment
    and wins over it. `rows`, `cols` count with `tty` only. `timeout_ms` is for the worker's information:
    the host keeps the time. `log_window` is the first credit of the log's stream.
    """

    task: TaskId
    command: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    cwd: str | None = None
    tty: bool = True
    labels: dict[str, str] = field(default_factory=dict)
    timeout_ms: Milliseconds | None = None
    rows: Extent = DEFAULT_ROWS
    cols: Extent = DEFAULT_COLS
    log_window: Window = WINDOW_BYTES


class StartRequest(Struct, frozen=True, kw_only=True):
    """`metadata.start`: what the task runs, runs now."""

    task: TaskId


class SuccessRequest(Struct, frozen=True, kw_only=True):
    """`metadata.success`: the task succeeded. Acted on when `log_bytes` of the log have arrived."""

    task: TaskId
    log_bytes: Count
    code: ExitCode | None = 0


class FailedRequest(Struct, frozen=True, kw_only=True):
    """`metadata.failed`: it did not, or did not start. `signal` is a name; `reason` is in words."""

    task: TaskId
    log_bytes: Count
    code: ExitCode | None = None
    signal: str | None = None
    reason: str = ""


# From the host.


class ArtifactRequest(Struct, frozen=True, kw_only=True):
    """`metadata.get_artifact`: send a file on `stream`, whose reader takes `window` bytes for now."""

    task: TaskId
    path: AbsolutePath
    stream: StreamId
    window: Window = WINDOW_BYTES
    raw: RawPath | None = None


class ArtifactInfo(Struct, frozen=True, kw_only=True):
    """The answer to `metadata.get_artifact`, once the file is open. `size` is that of this moment: what
    counts is what `ArtifactSent` says. `mode` are the permission bits."""

    size: Count
    mode: Count = 0
    mtime: float = 0.0


class ArtifactSent(Struct, frozen=True, kw_only=True):
    """`metadata.artifact_sent`, a notification: the file was sent whole. Acted on when its `size` bytes
    have arrived. `sha256` is hexadecimal."""

    task: TaskId
    stream: StreamId
    size: Count
    sha256: str


class FolderRequest(Struct, frozen=True, kw_only=True):
    """`metadata.list_folder`: what is in a folder, from behind `after` on, the `key` of an entry."""

    task: TaskId
    path: AbsolutePath
    recursive: bool = False
    after: RawPath | None = None
    raw: RawPath | None = None


class FolderEntry(Struct, frozen=True, kw_only=True):
    """One entry, by its absolute path. A link is shown and never followed."""

    path: str
    type: Literal["file", "folder", "link", "other"]
    size: Count = 0
    mode: Count = 0
    mtime: float = 0.0
    raw: bytes | None = None

    @property
    def key(self) -> bytes:
        """The path as bytes: what is behind it in the folder is listed `after` it."""
        return self.path.encode() if self.raw is None else self.raw


class FolderPart(Struct, frozen=True, kw_only=True):
    """The answer to `metadata.list_folder`: at most `ENTRIES` entries, sorted by their paths' parts, so
    that a folder stands right before what is in it. With `more` ask again, `after` its last `key`."""

    entries: tuple[FolderEntry, ...] = ()
    more: bool = False


class ShellRequest(SessionOptions, frozen=True, kw_only=True):
    """`metadata.exec_shell`: as `exec.create`, beside a task. Without a command it is the worker's shell.
    `handler` does not count."""

    task: TaskId
    stdin: StreamId | None = None


class CloseRequest(Struct, frozen=True, kw_only=True):
    """`metadata.close`: the host asks nothing more about the task, so that it can be forgotten."""

    task: TaskId


class KillRequest(Struct, frozen=True, kw_only=True):
    """`metadata.kill_process`: end all that the task runs: gently, and after the grace for certain."""

    task: TaskId
    grace_ms: Milliseconds = 5_000.0


class KillAnswer(Struct, frozen=True, kw_only=True):
    """The answer to `metadata.kill_process`: it was signalled; or nothing runs yet, and what will start is
    ended at once; or it had ended."""

    state: Literal["killed", "remembered", "ended"]
