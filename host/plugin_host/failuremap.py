"""What went wrong, as a plain map for programs: the type of the error, its message, and what it knows.

The form is a contract, the same in the events of a host and in what commands print. It only goes out;
`control.errormap` has the form that becomes the exception again.
"""

from __future__ import annotations

from typing import Any

from .errors import CrashLoop, LaunchError, PluginDied, TaskLost

__all__ = ["as_map"]

_ATTRIBUTES = (
    *("plugin", "name", "code", "data", "retryable", "file", "path", "near", "stderr", "hint"),
    *("title", "suggestion", "retry_commands", "session", "socket", "task"),
)


def as_map(error: Exception) -> dict[str, Any]:
    """`error` for programs: its type, its message, and those attributes that say something."""
    known = {name: getattr(error, name, None) for name in _ATTRIBUTES}
    said = {name: value for name, value in known.items() if value not in (None, (), "")}
    if isinstance(error, (PluginDied, LaunchError, TaskLost)) and error.report is not None:
        said["report"] = error.report.to_map()
    if isinstance(error, CrashLoop):
        said["reports"] = [report.to_map() for report in error.reports]
    return {"type": type(error).__name__, "message": str(error), **said}
