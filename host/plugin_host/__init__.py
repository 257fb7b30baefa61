"""Run plugins in processes of their own.

    async with plugin_host.PluginHost() as host:
        usage = await host.call("system", "disk_usage", {"path": "/"})

Plugins are found by entry points and folders, started in their own processes, and called over
msgpack-RPC. `plugin_host_sdk` is the plugins' side.

Each name is imported when it is first used, so a command that starts no plugin waits for no event loop.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin_host_sdk.types.session import Exit, HandlerInfo, SessionFailure, SessionInfo, StreamTarget
    from plugin_host_sdk.types.task import FolderEntry

    from .action.actions import Actions
    from .action.run import ActionRun
    from .candidate import Candidate
    from .configuration import Configuration
    from .death import DeathReport, Phase
    from .errors import (
        ActionError,
        ActionFailed,
        ActionInvalid,
        ActionNotFound,
        ActionNotPrivileged,
        ActionNotSupported,
        ActionRefused,
        ArtifactDamaged,
        ArtifactNotFound,
        BadAnswer,
        CallCancelled,
        CallError,
        CallFailed,
        CallTimeout,
        CommandError,
        ConfigurationError,
        CrashLoop,
        ExecSessionError,
        FileAccessDenied,
        FileAccessError,
        FolderNotFound,
        HandlerNotFound,
        HostLost,
        HostUnreachable,
        IncompatibleProtocol,
        InitializeFailed,
        InitializeTimeout,
        InternalError,
        InvalidPayload,
        IsFolder,
        KeyFileError,
        KeyMismatch,
        KeyRejected,
        LaunchError,
        ListenerUnreachable,
        LocalProtocolError,
        ManifestError,
        MetadataError,
        MetadataNotFound,
        MethodNotAllowed,
        NoSuchEndPoint,
        NotFile,
        NotFolder,
        OutsideRoots,
        PluginDied,
        PluginExited,
        PluginHostError,
        PluginNotFound,
        PluginNotReady,
        ProtocolError,
        RecordForged,
        RecordMalformed,
        RemoteProtocolError,
        ResourceConflict,
        SealError,
        SealRefused,
        SealTruncated,
        SessionClosed,
        SessionExists,
        SessionNotFound,
        SocketError,
        SocketInUse,
        SpawnError,
        TaskLost,
        TaskNotFound,
        TerminalError,
        UnknownActionId,
        ViewerReadOnly,
    )
    from .event import (
        ActionEnded,
        ActionStarted,
        DeathTold,
        EventsLost,
        HealthChanged,
        HostEvent,
        PluginNotified,
        PluginSwapped,
        SessionEnded,
        SessionOpened,
        StateChanged,
        TaskChanged,
    )
    from .exec.session import Session
    from .exec.terminal import DirectTerminal
    from .exec.viewer import Gap, Output, Viewer
    from .hookspecs import hookimpl
    from .host import PluginHost
    from .listener.client import send_command
    from .listener.commandlisteners import CommandListeners
    from .listener.folder import endpoint_path
    from .listener.monitor import Monitor, current_monitor
    from .logbook import Logbook, LogRecord, LogStream
    from .manifest import Manifest
    from .metadata.face import Metadata
    from .metadata.tree import MetadataEntry
    from .metric.snapshot import Snapshot
    from .metricsport import MetricsPort
    from .plugin import Plugin
    from .service import Caller
    from .state import State
    from .task.artifact import Artifact
    from .task.info import TaskInfo
    from .task.logreader import LogReader
    from .task.result import TaskResult
    from .task.state import Outcome
    from .task.task import Task
    from .task.tasks import Tasks
    from .task.worker import TaskWorker
    from .trace import TraceContext, traced
    from .version import VERSION as __version__

__all__ = [
    "ActionEnded",
    "ActionError",
    "ActionFailed",
    "ActionInvalid",
    "ActionNotFound",
    "ActionNotPrivileged",
    "ActionNotSupported",
    "ActionRefused",
    "ActionRun",
    "ActionStarted",
    "Actions",
    "Artifact",
    "ArtifactDamaged",
    "ArtifactNotFound",
    "BadAnswer",
    "CallCancelled",
    "CallError",
    "CallFailed",
    "CallTimeout",
    "Caller",
    "Candidate",
    "CommandError",
    "CommandListeners",
    "Configuration",
    "ConfigurationError",
    "CrashLoop",
    "DeathReport",
    "DeathTold",
    "DirectTerminal",
    "EventsLost",
    "ExecSessionError",
    "Exit",
    "FileAccessDenied",
    "FileAccessError",
    "FolderEntry",
    "FolderNotFound",
    "Gap",
    "HandlerInfo",
    "HandlerNotFound",
    "HealthChanged",
    "HostEvent",
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
    "LogReader",
    "LogRecord",
    "LogStream",
    "Logbook",
    "Manifest",
    "ManifestError",
    "Metadata",
    "MetadataEntry",
    "MetadataError",
    "MetadataNotFound",
    "MethodNotAllowed",
    "MetricsPort",
    "Monitor",
    "NoSuchEndPoint",
    "NotFile",
    "NotFolder",
    "Outcome",
    "Output",
    "OutsideRoots",
    "Phase",
    "Plugin",
    "PluginDied",
    "PluginExited",
    "PluginHost",
    "PluginHostError",
    "PluginNotFound",
    "PluginNotReady",
    "PluginNotified",
    "PluginSwapped",
    "ProtocolError",
    "RecordForged",
    "RecordMalformed",
    "RemoteProtocolError",
    "ResourceConflict",
    "SealError",
    "SealRefused",
    "SealTruncated",
    "Session",
    "SessionClosed",
    "SessionEnded",
    "SessionExists",
    "SessionFailure",
    "SessionInfo",
    "SessionNotFound",
    "SessionOpened",
    "Snapshot",
    "SocketError",
    "SocketInUse",
    "SpawnError",
    "State",
    "StateChanged",
    "StreamTarget",
    "Task",
    "TaskChanged",
    "TaskInfo",
    "TaskLost",
    "TaskNotFound",
    "TaskResult",
    "TaskWorker",
    "Tasks",
    "TerminalError",
    "TraceContext",
    "UnknownActionId",
    "Viewer",
    "ViewerReadOnly",
    "__version__",
    "current_monitor",
    "endpoint_path",
    "hookimpl",
    "send_command",
    "traced",
]

# The module of every name that is not in `errors`.
_HOMES = {
    "ActionEnded": "event",
    "ActionRun": "action.run",
    "ActionStarted": "event",
    "Actions": "action.actions",
    "Artifact": "task.artifact",
    "Caller": "service",
    "Candidate": "candidate",
    "CommandListeners": "listener.commandlisteners",
    "Configuration": "configuration",
    "DeathReport": "death",
    "DeathTold": "event",
    "EventsLost": "event",
    "Exit": "exec.session",
    "FolderEntry": "task.worker",
    "DirectTerminal": "exec.terminal",
    "Gap": "exec.viewer",
    "HandlerInfo": "exec.session",
    "HealthChanged": "event",
    "HostEvent": "event",
    "LogReader": "task.logreader",
    "LogRecord": "logbook",
    "LogStream": "logbook",
    "Logbook": "logbook",
    "Manifest": "manifest",
    "Metadata": "metadata.face",
    "MetadataEntry": "metadata.tree",
    "MetricsPort": "metricsport",
    "Monitor": "listener.monitor",
    "Outcome": "task.state",
    "Output": "exec.viewer",
    "Phase": "death",
    "Plugin": "plugin",
    "PluginHost": "host",
    "PluginNotified": "event",
    "PluginSwapped": "event",
    "Session": "exec.session",
    "SessionEnded": "event",
    "SessionFailure": "exec.session",
    "SessionInfo": "exec.session",
    "SessionOpened": "event",
    "Snapshot": "metric.snapshot",
    "State": "state",
    "StateChanged": "event",
    "StreamTarget": "exec.viewer",
    "Task": "task.task",
    "TaskChanged": "event",
    "TaskInfo": "task.info",
    "TaskResult": "task.result",
    "TaskWorker": "task.worker",
    "Tasks": "task.tasks",
    "TraceContext": "trace",
    "Viewer": "exec.viewer",
    "current_monitor": "listener.monitor",
    "endpoint_path": "listener.folder",
    "hookimpl": "hookspecs",
    "send_command": "listener.client",
    "traced": "trace",
}

if not TYPE_CHECKING:  # a type checker would take it for leave to use any name

    def __getattr__(name):
        if name == "__version__":
            from .version import VERSION as value
        elif name in __all__:
            home = __import__(f"{__name__}.{_HOMES.get(name, 'errors')}", fromlist=[name])
            value = getattr(home, name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value  # the next use finds it at once
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
