"""Exec sessions as both sides of the wire speak of them: what is asked, what is answered, what is.

The Structs are the parameters and results of the `exec.*` requests, field by field. `Provider` is the
interface that the plugin's `Manager` and the host's proxy both satisfy, so that either can stand where
the other does. Unknown fields are ignored, so the maps can grow.
"""

from __future__ import annotations

import builtins
from collections.abc import Awaitable
from enum import StrEnum
from typing import Annotated, Any, Protocol

from msgspec import Meta, Struct, field

from plugin_host_sdk.protocol import (
    DEFAULT_COLS,
    DEFAULT_ROWS,
    LARGEST_SIZE,
    MOST_REPLAY_BYTES,
    SESSION_ID_CHARACTERS,
    WINDOW_BYTES,
)

from .discretion import Discreet

__all__ = [
    "AttachOptions",
    "Attached",
    "AttachedStream",
    "Created",
    "Exit",
    "HandlerInfo",
    "Handover",
    "Provider",
    "SessionFailure",
    "SessionInfo",
    "SessionOptions",
    "Size",
    "Stored",
    "StreamTarget",
]

SessionId = Annotated[str, Meta(min_length=1, max_length=SESSION_ID_CHARACTERS, pattern=r"\A[!-~]+\Z")]
Extent = Annotated[int, Meta(ge=1, le=LARGEST_SIZE)]
Offset = Annotated[int, Meta(ge=-1)]
StreamId = Annotated[int, Meta(ge=1)]
Window = Annotated[int, Meta(ge=1, le=2**30)]
Count = Annotated[int, Meta(ge=0)]


class StreamTarget(StrEnum):
    """An output of a session: a member is its text, and any other text is refused with ValueError.

    A terminal has one output, which is `STDOUT`.
    """

    STDOUT = "stdout"
    STDERR = "stderr"

    def __repr__(self) -> str:
        return repr(self.value)


class Size(Struct, frozen=True):
    """The size of a terminal in characters."""

    rows: Extent
    cols: Extent


class Handover(Discreet, frozen=True):
    """Where a plugin sends the descriptor of a terminal: the name of an abstract local socket, without its
    zero byte; with it goes the token."""

    socket: Annotated[str, Meta(min_length=1, max_length=100)]
    token: Annotated[str, Meta(min_length=1, max_length=128)]


class SessionOptions(Discreet, frozen=True, kw_only=True):
    """What a session is to be. `handler` is a key `plugin/resource`, a resource, or None for the only one.

    `rows`, `cols` count on a terminal only. `env` is added to the handler's environment. `detached`
    sessions run on from the start; others wait, once their ring is full, for the first viewer. With a
    `handover` the host reads the terminal itself, and there is nothing to keep or to attach to.
    """

    id: SessionId
    handler: str | None = None
    command: tuple[str, ...] = ()
    tty: bool = True
    rows: Extent = DEFAULT_ROWS
    cols: Extent = DEFAULT_COLS
    cwd: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    resource_data: dict[str, Any] = field(default_factory=dict)
    replay_bytes: Annotated[int, Meta(ge=0, le=MOST_REPLAY_BYTES)] | None = None
    detached: bool = False
    handover: Handover | None = None


class AttachOptions(Struct, frozen=True, kw_only=True):
    """One viewer. The streams are named by the caller; `window` is its credit for each of them.

    `offset`: None is the oldest kept byte, -1 live only, a number counts for the terminal or stdout, a
    map names streams. `lossless` viewers slow the session down, others get gaps.
    """

    viewer: StreamId
    stdout: StreamId
    stderr: StreamId | None = None
    window: Window = WINDOW_BYTES
    offset: Offset | dict[str, Offset | None] | None = None
    lossless: bool = True
    read_only: bool = False


class Exit(Struct, frozen=True, kw_only=True):
    """How a session ended: `code`, or `signal` by name, or `error`; `reason` in words; seconds it took."""

    code: int | None = None
    signal: str | None = None
    reason: str = ""
    duration: float = 0.0
    error: SessionFailure | None = None


class SessionFailure(Struct, frozen=True, kw_only=True):
    """What an `ExecError` says, for the person who looks at the session."""

    title: str = ""
    message: str = ""
    suggestion: str = ""
    retryable: bool = True
    retry_commands: tuple[str, ...] = ()


class Stored(Struct, frozen=True):
    """What is kept of one output stream: the bytes from `start` up to `end`."""

    start: int = 0
    end: int = 0


class SessionInfo(Struct, frozen=True, kw_only=True):
    """A session at one moment. `handler` is the key; `created_at` seconds since the epoch, UTC.

    `state` is starting, running, ending (its process is gone and its last output is read) or ended.
    """

    id: str
    handler: str
    command: tuple[str, ...] = ()
    tty: bool = True
    rows: int | None = None
    cols: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    state: str = "running"
    pid: int | None = None
    viewers: int = 0
    output: dict[str, Stored] = field(default_factory=dict)
    exit: Exit | None = None

    @property
    def attached(self) -> bool:
        """Whether anybody looks at it."""
        return self.viewers > 0


class HandlerInfo(Struct, frozen=True, kw_only=True):
    """A handler as it is listed. `tty` and `pipes` say what it serves."""

    key: str
    plugin: str
    resource: str
    default_command: tuple[str, ...] = ()
    target_builder: dict[str, Any] | None = None
    tty: bool = True
    pipes: bool = True
    handles_resize: bool = False


class Created(Struct, frozen=True, kw_only=True):
    """The answer to `create`: `stdin_window` is the first credit of the input stream."""

    session: SessionInfo
    stdin_window: Annotated[int, Meta(ge=0, le=2**30)] = 0


class AttachedStream(Struct, frozen=True, kw_only=True):
    """Where a viewer's copy of one stream lies in the session.

    Offset 0 of the viewer's stream is the session's `base`; `start` is the first byte it gets, `end` where
    live output joins, `evicted` how many of the bytes it asked for are kept no longer.
    """

    base: Count = 0
    start: Count = 0
    end: Count = 0
    evicted: Count = 0


class Attached(Struct, frozen=True, kw_only=True):
    """The answer to `attach`."""

    session: SessionInfo
    stdout: AttachedStream
    stderr: AttachedStream | None = None


class Provider(Protocol):
    """Exec sessions. A plugin's manager answers with values, or awaitables where it has to wait; the
    host's proxy with awaitables. Both raise the same errors.

    Raises SessionNotFound, HandlerNotFound, SessionClosed, TerminalError, SessionExists, and CallFailed
    named `rpc.invalid_params` for what is out of range.
    """

    def handlers(self) -> list[HandlerInfo] | Awaitable[list[HandlerInfo]]:
        """What can be opened, in a stable order."""

    def create(self, options: SessionOptions, stdin: int | None = None) -> Created | Awaitable[Created]:
        """Open a session; `stdin` is the stream of its input."""

    def get(self, session: str) -> SessionInfo | Awaitable[SessionInfo]:
        """One session, running or ended."""

    def list(self) -> builtins.list[SessionInfo] | Awaitable[builtins.list[SessionInfo]]:
        """All of them, the oldest first. On the wire they come in parts."""

    def attach(self, session: str, options: AttachOptions) -> Attached | Awaitable[Attached]:
        """Add a viewer: replay first, then live output from exactly the next byte."""

    def detach(self, session: str, viewer: int) -> Awaitable[None] | None:
        """Remove a viewer; the session runs on."""

    def resize(self, session: str, rows: int, cols: int) -> Awaitable[None] | None:
        """Give the terminal a size, 1 to 65535 each way."""

    def signal(self, session: str, signal: str) -> Awaitable[None] | None:
        """Send a signal, by name, to what the session runs."""

    def close_stdin(self, session: str, total: int) -> Awaitable[None] | None:
        """End the input after its first `total` bytes."""

    def close(self, session: str, missing_ok: bool = False) -> Awaitable[None] | None:
        """End a session and forget it. With `missing_ok` one that is not there is no error."""
