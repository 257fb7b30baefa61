"""The plugin's answer to `initialize`."""

from __future__ import annotations

import sys

from plugin_host_sdk.errors import CallFailed
from plugin_host_sdk.handshake import negotiate
from plugin_host_sdk.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from plugin_host_sdk.handshake import Limits
    from plugin_host_sdk.plugin import Plugin

__all__ = ["FEATURES", "greet"]

FEATURES = (
    "command.call_many",
    "stacks",
    "vitals",
    *(("exec.handover",) if sys.platform == "linux" else ()),
)
"""What this runtime answers beyond what every plugin must."""


def greet(plugin: Plugin, limits: Limits, params: dict[str, Any]) -> dict[str, Any]:
    """What `plugin` says of itself. Raises CallFailed when this host is not the one for it."""
    protocol = negotiate(params.get("protocols"))
    expected = params.get("plugin", plugin.id)
    if expected != plugin.id:
        raise CallFailed(
            f"the host expects plugin {expected!r}, and this one is Plugin({plugin.id!r})",
            name="initialize.wrong_plugin",
            data={"expected": expected, "found": plugin.id},
        )
    return {
        "protocol": protocol,
        "plugin": {"id": plugin.id, "version": plugin.version},
        "sdk": {"name": "plugin-host-sdk", "version": VERSION},
        "limits": limits.to_map(),
        "capabilities": {name: c.describe() for name, c in plugin.capabilities.items()},
        "features": list(FEATURES),
    }
