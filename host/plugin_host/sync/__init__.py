"""The host for programs without asyncio.

    with plugin_host.sync.PluginHost() as host:
        usage = host.call("system", "disk_usage", {"path": "/"})

The same names, arguments and errors as in `plugin_host`, without `await`. Everything may be used from any
thread at any time.
"""

from __future__ import annotations

from .actions import ActionOutput, ActionRun, Actions
from .artifact import Artifact
from .events import EventStream
from .host import PluginHost
from .logs import Logbook, LogStream
from .metadata import Metadata
from .session import Session
from .task import Task
from .tasklog import LogReader
from .tasks import Tasks
from .terminal import DirectTerminal
from .viewer import Viewer

__all__ = [
    "ActionOutput",
    "ActionRun",
    "Actions",
    "Artifact",
    "DirectTerminal",
    "EventStream",
    "LogReader",
    "LogStream",
    "Logbook",
    "Metadata",
    "PluginHost",
    "Session",
    "Task",
    "Tasks",
    "Viewer",
]
