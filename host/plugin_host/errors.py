"""The host's branch of the error tree, and the exceptions of calls that embedders meet.

A leaf says what went wrong by its type and where by its attributes; the message alone is enough for a
person. Everything derives from `plugin_host_sdk.errors.PluginHostError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.errors import (
    ActionError,
    ActionFailed,
    ActionInvalid,
    ActionNotFound,
    ActionNotPrivileged,
    ActionNotSupported,
    ActionRefused,
    ArtifactNotFound,
    CallCancelled,
    CallError,
    CallFailed,
    CallTimeout,
    CommandError,
    ExecSessionError,
    FileAccessDenied,
    FileAccessError,
    FolderNotFound,
    HandlerNotFound,
    InternalError,
    InvalidPayload,
    IsFolder,
    KeyRejected,
    LocalProtocolError,
    MetadataError,
    MetadataNotFound,
    MethodNotAllowed,
    NoSuchEndPoint,
    NotFile,
    NotFolder,
    OutsideRoots,
    PluginHostError,
    ProtocolError,
    RemoteProtocolError,
    ResourceConflict,
    SessionClosed,
    SessionExists,
    SessionNotFound,
    TerminalError,
    UnknownActionId,
)

if TYPE_CHECKING:
    from .death import DeathReport
    from .exitstatus import ExitStatus

__all__ = [
    "ActionError",
    "ActionFailed",
    "ActionInvalid",
    "ActionNotFound",
    "ActionNotPrivileged",
    "ActionNotSupported",
    "ActionRefused",
    "ArtifactDamaged",
    "ArtifactNotFound",
    "BadAnswer",
    "CallCancelled",
    "CallError",
    "CallFailed",
    "CallTimeout",
    "CommandError",
    "ConfigurationError",
    "CrashLoop",
    "ExecSessionError",
    "FileAccessDenied",
    "FileAccessError",
    "FolderNotFound",
    "HandlerNotFound",
    "HostLost",
    "HostUnreachable",
    "IncompatibleProtocol",
    "InitializeFailed",
    "InitializeTimeout",
    "InternalError",
    "InvalidPayload",
    "IsFolder",
    "KeyFileError",
    "KeyMismatch",
    "KeyRejected",
    "LaunchError",
    "ListenerUnreachable",
    "LocalProtocolError",
    "ManifestError",
    "MetadataError",
    "MetadataNotFound",
    "MethodNotAllowed",
    "NoSuchEndPoint",
    "NotFile",
    "NotFolder",
    "OutsideRoots",
    "PluginDied",
    "PluginExited",
    "PluginHostError",
    "PluginNotFound",
    "PluginNotReady",
    "ProtocolError",
    "RecordForged",
    "RecordMalformed",
    "RemoteProtocolError",
    "ResourceConflict",
    "SealError",
    "SealRefused",
    "SealTruncated",
    "SessionClosed",
    "SessionExists",
    "SessionNotFound",
    "SocketError",
    "SocketInUse",
    "SpawnError",
    "TaskLost",
    "TaskNotFound",
    "TerminalError",
    "UnknownActionId",
    "ViewerReadOnly",
]


class ConfigurationError(PluginHostError):
    """The host's configuration file cannot be used."""

    def __init__(self, message: str, *, file: str | None = None, path: str | None = None) -> None:
        super().__init__(message)
        self.file = file
        self.path = path


class ManifestError(PluginHostError):
    """A manifest, or an entry point that stands for one, cannot be used.

    `file` is where it lies and `path` the place inside it (`$.launch.argv[0]`).
    """

    def __init__(self, message: str, *, file: str | None = None, path: str | None = None) -> None:
        super().__init__(message)
        self.file = file
        self.path = path


class PluginNotFound(PluginHostError):
    """No plugin of that id; `near` are the ids that look like it."""

    def __init__(self, message: str, *, plugin: str, near: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.near = tuple(near)


class PluginNotReady(PluginHostError):
    """The plugin exists and cannot take a call in the state it is in."""

    def __init__(self, message: str, *, plugin: str, state: str) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.state = state


class LaunchError(PluginHostError):
    """A plugin did not become ready; the leaf says in which way.

    `plugin` is its id, `stderr` the last lines it wrote, `hint` what to do about it; `status` how the
    process ended, when it did; `limit` says the same when a limit ended it. `pid` and `uptime` (seconds)
    are those of the process, if there was one. `hang` is what it was found doing when its time was over.
    `report` is all of it together, once the host has made it.
    """

    pid: int | None = None
    uptime: float = 0.0
    status: ExitStatus | None = None
    limit: str | None = None
    report: DeathReport | None = None
    hang: str | None = None

    def __init__(
        self,
        message: str,
        *,
        plugin: str | None = None,
        file: str | None = None,
        stderr: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.file = file
        self.stderr = tuple(stderr)
        self.hint = hint


class SpawnError(LaunchError):
    """The program could not be started at all; `file` is the one at fault.

    `is_scarce` says that none is: processes, descriptors or memory were lacking at that moment.
    """

    is_scarce: bool = False


class PluginExited(LaunchError):
    """The process ended before it was ready."""


class InitializeTimeout(LaunchError):
    """The process lives and did not answer `initialize` within its deadline."""


class IncompatibleProtocol(LaunchError):
    """Host and plugin have no protocol version in common."""


class InitializeFailed(LaunchError):
    """The plugin answered `initialize` with an error."""


class BadAnswer(LaunchError):
    """What came instead of the answer to `initialize` is not of the protocol."""


class PluginDied(CallError):
    """The plugin's process or connection ended while the call was in flight.

    The same call may succeed once the plugin runs again, so `retryable` is true. `report` is the whole
    story; `stderr` and `uptime` are taken from it.
    """

    def __init__(
        self,
        message: str,
        *,
        plugin: str | None = None,
        report: DeathReport | None = None,
        data: Any = None,
    ) -> None:
        super().__init__(message, name="command.connection", data=data)
        self.plugin = plugin
        self.report = report
        self.stderr = report.stderr if report is not None else ()
        self.uptime = report.uptime if report is not None else None

    @classmethod
    def of(cls, report: DeathReport, when: str = "") -> PluginDied:
        """The exception of one call, or of one session, for a death; `when` completes "died"."""
        return cls(report.describe(when), plugin=report.plugin, report=report)


class CrashLoop(PluginHostError):
    """A plugin failed too often and is not started again; `reports` are its deaths, oldest first."""

    def __init__(self, message: str, *, plugin: str, reports: Sequence[DeathReport] = ()) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.reports = tuple(reports)


class TaskNotFound(PluginHostError):
    """No task of that id, or no longer; `task` is the id."""

    def __init__(self, message: str, *, task: str) -> None:
        super().__init__(message)
        self.task = task


class TaskLost(CallError):
    """Whoever worked on a task is gone, and how the task ended will never be known.

    `task` is its id; `report` is the death of the plugin, None when the host stopped it or the worker is
    none. The same task may succeed when it is given again.
    """

    def __init__(self, message: str, *, task: str, report: DeathReport | None = None) -> None:
        super().__init__(message, name="task.lost", data={"task": task}, retryable=True)
        self.task = task
        self.report = report


class ArtifactDamaged(PluginHostError):
    """What arrived of a file is not what was sent, or less than it had; `path` is the file's."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class HostUnreachable(PluginHostError):
    """No host answers at a control socket; `socket` is its path, `is_absent` that nobody listens there."""

    def __init__(self, message: str, *, socket: str, is_absent: bool = False) -> None:
        super().__init__(message)
        self.socket = socket
        self.is_absent = is_absent


class HostLost(CallError):
    """The connection to a host ended while its answer was awaited; the same call may succeed later."""

    def __init__(self, message: str, *, data: Any = None) -> None:
        super().__init__(message, name="command.connection", data=data, retryable=True)


class ViewerReadOnly(PluginHostError):
    """Input or a size from a viewer that was attached to read only."""


class SocketError(PluginHostError):
    """A local socket cannot be listened on, found or trusted; `path` is its place, if it has one."""

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class SocketInUse(SocketError):
    """Somebody listens there already; `pid` is who, when that can be told."""

    def __init__(self, message: str, *, path: str | None = None, pid: int | None = None) -> None:
        super().__init__(message, path=path)
        self.pid = pid


class SealError(PluginHostError, ConnectionError):
    """A sealed connection cannot be made, or has ended out of order; the leaf says in which way."""


class SealRefused(SealError):
    """The two sides came to no agreement: too slow, too busy, not this protocol, another version of it."""


class KeyMismatch(SealRefused):
    """The two sides have different pre-shared keys."""


class RecordMalformed(SealError):
    """What came cannot be a record here: its length, its kind or its place is wrong."""


class RecordForged(SealError):
    """A record is not the next that the peer sealed: changed, replayed, out of order, or one is missing."""


class SealTruncated(SealError):
    """The bytes ended before the peer had said that they would."""


class KeyFileError(ConfigurationError):
    """The file of a pre-shared key cannot be used, or not safely; `file` is its path."""


class ListenerUnreachable(CallError):
    """A request to a command listener got no reply. Its `code` is 103."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message, name="command.connection")
        self.path = path
