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

from .capability import ExecCapability
from .handler import ActionTargetBuilder, ExecSpec, Handler, PluginOpts, takes_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin_host_sdk.endpoint import CapabilityHolder
    from plugin_host_sdk.types.session import AttachOptions, SessionOptions, Size

    from .configuration import SessionLimits, SessionSettings
    from .resize import Resizes

__all__ = [
    "ActionTargetBuilder",
    "AttachOptions",
    "ExecCapability",
    "ExecError",
    "ExecSessionError",
    "ExecSpec",
    "Handler",
    "HandlerNotFound",
    "PluginOpts",
    "Resizes",
    "SessionClosed",
    "SessionExists",
    "SessionLimits",
    "SessionNotFound",
    "SessionOptions",
    "SessionSettings",
    "Size",
    "TerminalError",
    "register_plugin",
    "takes_terminal",
]

if not TYPE_CHECKING:  # for the few who set something, and for annotations
    _LATER = {
        "AttachOptions": "plugin_host_sdk.types.session",
        "Resizes": "plugin_host_sdk.exec.resize",
        "SessionLimits": "plugin_host_sdk.exec.configuration",
        "SessionOptions": "plugin_host_sdk.types.session",
        "SessionSettings": "plugin_host_sdk.exec.configuration",
        "Size": "plugin_host_sdk.types.session",
    }

    def __getattr__(name):
        home = _LATER.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(home), name)


def register_plugin(plugin: CapabilityHolder, opts: PluginOpts | None = None) -> ExecCapability:
    """Give `plugin` the exec capability. Registering again adds handlers.

    Raises RegistrationError for a key that is taken.
    """
    registered = plugin.capabilities.get("exec")
    capability = registered if isinstance(registered, ExecCapability) else None
    if capability is None:
        capability = ExecCapability(plugin.id)
        capability.configure(opts)
        plugin.add_capability(capability)
    elif opts is not None:
        capability.configure(opts)
    return capability
