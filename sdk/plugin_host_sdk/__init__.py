"""Write plugins for plugin-host.

    import plugin_host_sdk as sdk

    plugin = sdk.Plugin("demo", version="1.0.0")

    @plugin.command("greet")
    def greet(ctx, name: str = "world"):
        return {"text": f"hello {name}"}

Importing this package imports msgpack and a few small standard modules, nothing heavier. Capabilities other
than commands, the test kit and what few plugins need are loaded when they are used: `sdk.action`,
`sdk.exec`, `sdk.metadata`, `sdk.testing`, `sdk.RESTART`.
"""

from __future__ import annotations

from . import command
from .context import Context
from .errors import (
    CallCancelled,
    CallError,
    CallFailed,
    CallTimeout,
    CommandError,
    PluginHostError,
    RegistrationError,
)
from .plugin import Plugin
from .version import VERSION as __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import action, exec, metadata, testing
    from .reconfiguration import RESTART

__all__ = [
    "RESTART",
    "CallCancelled",
    "CallError",
    "CallFailed",
    "CallTimeout",
    "CommandError",
    "Context",
    "Plugin",
    "PluginHostError",
    "RegistrationError",
    "__version__",
    "action",
    "command",
    "exec",
    "metadata",
    "serve",
    "testing",
]

if not TYPE_CHECKING:  # a type checker would take it for leave to use any name

    def __getattr__(name):
        if name == "RESTART":
            from .reconfiguration import RESTART

            return RESTART
        if name not in ("action", "exec", "metadata", "testing"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        __import__(f"{__name__}.{name}")  # which makes it an attribute
        return globals()[name]


def serve(plugin: Plugin) -> int:
    """Serve `plugin` over descriptors 0 and 1 until its host ends it; returns the exit status.

    For programs that a manifest starts by `argv`; `entry_point` plugins need not call it.
    """
    from .runtime.serve import serve as serve_plugin

    return serve_plugin(plugin)
