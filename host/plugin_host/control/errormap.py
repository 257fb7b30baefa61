"""The host's exceptions as they travel over the control socket, and back.

Those of calls travel as they do between host and plugin; the others are given names of their own, and what
they know beside their message goes along. Invariant: what `from_map` makes of `to_map` has the type, the
message and the attributes of the original, as far as they are plain values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from plugin_host import errors
from plugin_host.death import DeathReport
from plugin_host.errors import (
    ArtifactDamaged,
    CallError,
    CallFailed,
    ConfigurationError,
    CrashLoop,
    LaunchError,
    ManifestError,
    PluginDied,
    PluginHostError,
    PluginNotFound,
    PluginNotReady,
    TaskLost,
    TaskNotFound,
)

__all__ = ["from_map", "to_map"]

_LAUNCH_KINDS = {
    kind.__name__: kind
    for kind in (
        LaunchError,
        errors.SpawnError,
        errors.PluginExited,
        errors.InitializeTimeout,
        errors.IncompatibleProtocol,
        errors.InitializeFailed,
        errors.BadAnswer,
    )
}


def to_map(error: Exception) -> dict[str, Any]:
    """The error map for an exception of the host's tree; any other is `rpc.internal`."""
    if isinstance(error, PluginDied):
        return error.to_map() | {
            "name": "plugin.died",
            "data": {"plugin": error.plugin, "report": _report(error.report)},
        }
    if isinstance(error, TaskLost):
        return error.to_map() | {"data": {"task": error.task, "report": _report(error.report)}}
    if isinstance(error, CallError):
        return error.to_map()
    name, data = _described(error)
    text = str(error) if isinstance(error, PluginHostError) else f"{type(error).__name__}: {error}"
    return CallFailed(text, name=name, code=0, data=data).to_map()


def _described(error: Exception) -> tuple[str, dict[str, Any]]:
    if isinstance(error, PluginNotFound):
        return "plugin.not_found", {"plugin": error.plugin, "near": list(error.near)}
    if isinstance(error, PluginNotReady):
        return "plugin.not_ready", {"plugin": error.plugin, "state": error.state}
    if isinstance(error, CrashLoop):
        reports = [report.to_map() for report in error.reports]
        return "plugin.crash_loop", {"plugin": error.plugin, "reports": reports}
    if isinstance(error, LaunchError):
        return "plugin.launch_failed", {
            "kind": type(error).__name__,
            "plugin": error.plugin,
            "file": error.file,
            "stderr": list(error.stderr),
            "hint": error.hint,
            "hang": error.hang,
            "report": _report(error.report),
        }
    if isinstance(error, TaskNotFound):
        return "task.not_found", {"task": error.task}
    if isinstance(error, ArtifactDamaged):
        return "task.artifact_damaged", {"path": error.path}
    if isinstance(error, ManifestError):
        return "plugin.manifest", {"file": error.file, "path": error.path}
    if isinstance(error, ConfigurationError):
        return "host.configuration", {"file": error.file, "path": error.path}
    return ("host.refused" if isinstance(error, PluginHostError) else "rpc.internal"), {}


def _report(report: DeathReport | None) -> dict[str, Any] | None:
    return None if report is None else report.to_map()


def from_map(error: Any) -> PluginHostError:
    """The exception for an error map, of any shape, also for one that a link has rebuilt already."""
    if isinstance(error, errors.HostLost):  # of this side
        return error
    if isinstance(error, CallError):
        error = error.to_map()
    if not isinstance(error, dict):
        return CallError.from_map(error)
    make = _MAKERS.get(str(error.get("name")))
    data = error.get("data")
    if make is None or not isinstance(data, dict):
        return CallError.from_map(error)
    try:
        return make(str(error.get("message", "")), data)
    except (TypeError, ValueError, KeyError, AttributeError):  # a host that writes otherwise
        return CallError.from_map(error)


def _died(message: str, data: Mapping[str, Any]) -> PluginDied:
    return PluginDied(message, plugin=data["plugin"], report=_read_report(data["report"]))


def _launch_failed(message: str, data: Mapping[str, Any]) -> LaunchError:
    kind = _LAUNCH_KINDS.get(data["kind"], LaunchError)
    error = kind(
        message, plugin=data["plugin"], file=data["file"], stderr=data["stderr"], hint=data["hint"]
    )
    error.hang = data["hang"]
    error.report = _read_report(data["report"])
    return error


def _crash_loop(message: str, data: Mapping[str, Any]) -> CrashLoop:
    reports = [DeathReport.from_map(report) for report in data["reports"]]
    return CrashLoop(message, plugin=data["plugin"], reports=reports)


def _read_report(report: Mapping[str, Any] | None) -> DeathReport | None:
    return None if report is None else DeathReport.from_map(report)


_MAKERS: dict[str, Callable[[str, Mapping[str, Any]], PluginHostError]] = {
    "plugin.died": _died,
    "plugin.launch_failed": _launch_failed,
    "plugin.crash_loop": _crash_loop,
    "plugin.not_found": lambda text, data: PluginNotFound(text, plugin=data["plugin"], near=data["near"]),
    "plugin.not_ready": lambda text, data: PluginNotReady(text, plugin=data["plugin"], state=data["state"]),
    "plugin.manifest": lambda text, data: ManifestError(text, file=data["file"], path=data["path"]),
    "host.configuration": lambda text, data: ConfigurationError(text, file=data["file"], path=data["path"]),
    "task.not_found": lambda text, data: TaskNotFound(text, task=data["task"]),
    "task.lost": lambda text, data: TaskLost(text, task=data["task"], report=_read_report(data["report"])),
    "task.artifact_damaged": lambda text, data: ArtifactDamaged(text, path=data["path"]),
    "host.refused": lambda text, _: PluginHostError(text),
}
