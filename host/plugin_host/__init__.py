"""Run plugins in processes of their own.

    async with plugin_host.PluginHost() as host:
        usage = await host.call("system", "disk_usage", {"path": "/"})

Plugins are found by entry points and folders, started in their own processes, and called over
msgpack-RPC. `plugin_host_sdk` is the plugins' side.
"""

from __future__ import annotations

from .configuration import Configuration
from .errors import (
    BadAnswer,
    CallCancelled,
    CallError,
    CallFailed,
    CallTimeout,
    ConfigurationError,
    IncompatibleProtocol,
    InitializeFailed,
    InitializeTimeout,
    LaunchError,
    LocalProtocolError,
    ManifestError,
    PluginDied,
    PluginExited,
    PluginHostError,
    PluginNotFound,
    PluginNotReady,
    ProtocolError,
    RemoteProtocolError,
    SpawnError,
)
from .event import EventsLost, HostEvent, PluginNotified, StateChanged
from .hookspecs import hookimpl
from .host import PluginHost
from .manifest import Manifest
from .plugin import Plugin
from .service import Caller
from .state import State
from .version import VERSION as __version__

__all__ = [
    "BadAnswer",
    "CallCancelled",
    "CallError",
    "CallFailed",
    "CallTimeout",
    "Caller",
    "Configuration",
    "ConfigurationError",
    "EventsLost",
    "HostEvent",
    "IncompatibleProtocol",
    "InitializeFailed",
    "InitializeTimeout",
    "LaunchError",
    "LocalProtocolError",
    "Manifest",
    "ManifestError",
    "Plugin",
    "PluginDied",
    "PluginExited",
    "PluginHost",
    "PluginHostError",
    "PluginNotFound",
    "PluginNotReady",
    "PluginNotified",
    "ProtocolError",
    "RemoteProtocolError",
    "SpawnError",
    "State",
    "StateChanged",
    "__version__",
    "hookimpl",
]
