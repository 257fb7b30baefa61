"""The `action` capability on the plugin's side: scripts, files and orders that a host sends to a machine.

    from plugin_host_sdk import action

    @plugin.action("heartbeat")
    def heartbeat(ctx, request):
        return action.HeartbeatResult(nonce=request.nonce)

What runs actions, and the types of requests and results, are loaded with the first use of one.
"""

from __future__ import annotations

from plugin_host_sdk.errors import (
    ActionError,
    ActionFailed,
    ActionInvalid,
    ActionNotFound,
    ActionNotPrivileged,
    ActionNotSupported,
    ActionRefused,
    KeyRejected,
)

from .capability import ActionCapability
from .handler import Handler, PluginOpts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from plugin_host_sdk.endpoint import CapabilityHolder
    from plugin_host_sdk.types.action import (
        Done,
        Exit,
        File,
        Heartbeat,
        HeartbeatResult,
        KeyResult,
        Properties,
        Reboot,
        Register,
        RegisterResult,
        ReloadConfig,
        ReloadResult,
        RunAs,
        RunScript,
        Script,
        ScriptReport,
        ScriptResult,
        Shutdown,
        UpdateKey,
        UploadFile,
        UploadFileAndExit,
        UploadResult,
        key_fingerprint,
        key_proof,
        mode_bits,
    )

    from .action import Action
    from .identity import Identity
    from .program import run_program

__all__ = [
    "Action",
    "ActionCapability",
    "ActionError",
    "ActionFailed",
    "ActionInvalid",
    "ActionNotFound",
    "ActionNotPrivileged",
    "ActionNotSupported",
    "ActionRefused",
    "Done",
    "Exit",
    "File",
    "Handler",
    "Heartbeat",
    "HeartbeatResult",
    "Identity",
    "KeyRejected",
    "KeyResult",
    "PluginOpts",
    "Properties",
    "Reboot",
    "Register",
    "RegisterResult",
    "ReloadConfig",
    "ReloadResult",
    "RunAs",
    "RunScript",
    "Script",
    "ScriptReport",
    "ScriptResult",
    "Shutdown",
    "UpdateKey",
    "UploadFile",
    "UploadFileAndExit",
    "UploadResult",
    "key_fingerprint",
    "key_proof",
    "mode_bits",
    "register_plugin",
    "run_program",
]

_TYPES = "plugin_host_sdk.types.action"
_ELSEWHERE = {"Action": ".action", "Identity": ".identity", "run_program": ".program"}

if not TYPE_CHECKING:  # a type checker would take it for leave to use any name

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = _ELSEWHERE.get(name)
        module = __import__(__name__ + home if home else _TYPES, fromlist=[name])
        return getattr(module, name)


def register_plugin(plugin: CapabilityHolder, opts: PluginOpts | None = None) -> ActionCapability:
    """Give `plugin` the action capability. Registering again adds kinds.

    Raises RegistrationError for a kind that it has already.
    """
    registered = plugin.capabilities.get("action")
    capability = registered if isinstance(registered, ActionCapability) else None
    if capability is None:
        capability = ActionCapability()
        capability.configure(opts)
        plugin.add_capability(capability)
    elif opts is not None:
        capability.configure(opts)
    return capability
