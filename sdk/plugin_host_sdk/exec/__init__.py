"""The `exec` capability on the plugin's side: sessions on terminals and pipes.

    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
        sdk.exec.Handler("local", default_command=["bash"]),
    ]))

What runs, replays and ends sessions is loaded when the first one is opened.
"""

from __future__ import annotations

from plugin_host_sdk.errors import (
    ExecError,
    ExecSessionError,
    HandlerNotFound,
    SessionClosed,
    SessionExists,
    SessionNotFound,
    TerminalError,
)

from .handler import ActionTargetBuilder, ExecSpec, Handler, PluginOpts

__all__ = [
    "ActionTargetBuilder",
    "ExecError",
    "ExecSessionError",
    "ExecSpec",
    "Handler",
    "HandlerNotFound",
    "PluginOpts",
    "SessionClosed",
    "SessionExists",
    "SessionNotFound",
    "TerminalError",
]
