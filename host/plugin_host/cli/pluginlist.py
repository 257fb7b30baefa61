"""The plugins of the running host, as a user is shown them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plugin_host.errors import PluginNotFound
from plugin_host.wording import near, suggestion

from . import output
from .table import table

if TYPE_CHECKING:
    from plugin_host.control import ControlClient

__all__ = ["find_plugin", "plugin_line", "plugins_text"]

Plugin = Mapping[str, Any]

_TITLES = ("PLUGIN", "VERSION", "STATE", "PID", "RESTARTS", "COMMANDS")


async def find_plugin(client: ControlClient, id: str) -> dict[str, Any]:
    """One plugin of the host. Raises PluginNotFound."""
    plugins = await client.plugins()
    ids = [one["id"] for one in plugins]
    if id not in ids:
        hint = suggestion(id, ids) or f" (found: {', '.join(ids) or 'none'})"
        raise PluginNotFound(f"no plugin `{id}`{hint}", plugin=id, near=near(id, ids))
    return plugins[ids.index(id)]


def plugins_text(plugins: Sequence[Plugin]) -> str:
    """The table for people, and below it why those that do not run do not."""
    text = table(_TITLES, [_row(one) for one in plugins])
    for one in plugins:
        if reason := _reason(one):
            text += output.printable(f"\n{one['id']}: {reason}", lines=True)
    return text if text.endswith("\n") else text + "\n"


def plugin_line(plugin: Plugin) -> str:
    """A plugin and its state on one line."""
    pid = f" (pid {plugin['pid']})" if plugin["pid"] is not None else ""
    return f"{plugin['id']}  {plugin['state']}{pid}"


def _row(plugin: Plugin) -> list[str]:
    commands = "(plain msgpack-RPC)" if plugin["raw"] else " ".join(plugin["commands"])
    pid, restarts = plugin["pid"], plugin["restarts"]
    return [
        plugin["id"],
        plugin["version"] or "",
        _state(plugin),
        "" if pid is None else str(pid),
        str(restarts or ""),
        commands,
    ]


def _state(plugin: Plugin) -> str:
    if plugin["skipped"] is not None:
        return "skipped"
    return str(plugin["state"]) if plugin["healthy"] else "unresponsive"


def _reason(plugin: Plugin) -> str:
    """Why it does not run, if it should."""
    if plugin["skipped"] is not None:
        return str(plugin["skipped"])
    return str(plugin["error"].get("message") or plugin["error"].get("name")) if plugin["error"] else ""
