"""The two plugins of the soak, written where it runs, and what one of them holds at a moment."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from plugin_host import PluginHost

__all__ = ["PLUGINS", "holdings", "write_plugins"]

PLUGINS = ("alpha", "beta")

_KEPT = ("worker-", "watchdog")

_CODE = """
import os
import threading

import plugin_host_sdk as sdk

plugin = sdk.Plugin({id!r}, version="1.0.0")
sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[sdk.exec.Handler("local")]))


@plugin.command("holdings")
def holdings(ctx):
    descriptors = []
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptors.append(os.readlink("/proc/self/fd/" + name).partition(":")[0])
        except OSError:
            pass  # that of this very listing
    with open(f"/proc/self/task/{{os.getpid()}}/children") as children:
        processes = children.read().split()
    return {{
        "threads": [thread.name for thread in threading.enumerate()],
        "descriptors": descriptors,
        "processes": len(processes),
    }}
"""


def write_plugins(folder: Path) -> None:
    """Write both into `folder`, to be used as a plugin folder."""
    for id in PLUGINS:
        home = folder / id
        home.mkdir()
        manifest = {
            "id": id,
            "version": "1.0.0",
            "launch": {"entry_point": f"{id}_plugin:plugin"},
            "restart": {"policy": "never"},
        }
        (home / "plugin_manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        (home / f"{id}_plugin.py").write_text(_CODE.format(id=id), encoding="utf-8")


async def holdings(host: PluginHost, plugin: str) -> Counter[str]:
    """Its descriptors by kind, its threads and processes.

    Of the threads of calls, which are kept for the next call, there is a limited number.
    """
    found: dict[str, Any] = await host.call(plugin, "holdings", {})
    held = Counter(f"descriptors of kind {kind}" for kind in found["descriptors"])
    held.update(f"threads named {name}" for name in found["threads"] if not name.startswith(_KEPT))
    held["processes"] = found["processes"]
    return held
