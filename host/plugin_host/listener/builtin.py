"""The commands that every host's listener has beside those of the embedder."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from plugin_host.version import VERSION

from .fanout import Fanout
from .option import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plugin_host.host import PluginHost
    from plugin_host.plugin import Plugin

    from .monitor import Handler, Monitor
    from .request import Request

__all__ = ["BUILT_IN", "register_built_in"]

BUILT_IN = ("host.event", "host.getoption", "host.plugins", "host.status")


def register_built_in(
    monitor: Monitor, host: PluginHost, options: Mapping[str, Any], event_s: float, *, debug: bool = False
) -> None:
    """Register them; raises as `Monitor.register`."""
    began = time.monotonic()

    async def status(request: Request) -> dict[str, Any]:
        states = Counter(str(plugin.state) for plugin in host.plugins.values())
        uptime = round(time.monotonic() - began, 3)
        return {
            "Version": VERSION,
            "Pid": os.getpid(),
            "UptimeS": uptime,
            "States": dict(sorted(states.items())),
        }

    async def plugins(request: Request) -> dict[str, Any]:
        return {"Plugins": [_plugin(host.plugins[id]) for id in sorted(host.plugins)]}

    handlers: dict[str, Handler] = {
        "host.event": Fanout(host, event_s, debug=debug),
        "host.getoption": Options(options),
        "host.plugins": plugins,
        "host.status": status,
    }
    for name in BUILT_IN:
        monitor.register(name, handlers[name])


def _plugin(plugin: Plugin) -> dict[str, Any]:
    return {
        "Plugin": plugin.id,
        "Version": plugin.version,
        "State": str(plugin.state),
        "Pid": plugin.pid,
        "Healthy": plugin.healthy,
        "Restarts": plugin.restarts,
        "Commands": plugin.commands,
        "Error": None if plugin.error is None else str(plugin.error),
    }
