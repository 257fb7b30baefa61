"""The host's events as lines: one for people, one of JSON for programs.

Pure but for the plugins it is given to look at. The JSON forms are a contract; each has `event` and
`at`, in seconds since the epoch:

    state         plugin, old, new, reason, pid, and `error` when new is "failed" or "backoff"
    death         plugin, report: how and in the middle of what it ended, and what happens next
    health        plugin, healthy, reason
    swapped       plugin, old_version, new_version, pid
    ready         plugins: every plugin that may run has been started, or says why not
    status        plugins: the same at another time, asked for by a signal
    notification  plugin, method, params: what a raw peer sent by itself
    lost          count: so many events were dropped because nobody read them
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plugin_host.event import (
    DeathTold,
    EventsLost,
    HealthChanged,
    HostEvent,
    PluginNotified,
    PluginSwapped,
    StateChanged,
)
from plugin_host.state import State

from . import output
from .failure import as_map
from .table import table

if TYPE_CHECKING:
    from plugin_host.plugin import Plugin

__all__ = ["HostReady", "StatusAsked", "event_map", "event_text", "troubles"]

Plugins = Mapping[str, "Plugin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReady(HostEvent):
    """Every plugin is ready or explained."""

    plugin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAsked(HostEvent):
    """Somebody wants to see how every plugin is now."""

    plugin: str = ""


def event_text(event: HostEvent, plugins: Plugins, *, is_brief: bool) -> str:
    """The event for people, with its line end; empty for what does not concern them.

    `is_brief` leaves out the reasons that are also in `troubles`, for who sees both.
    """
    clock = time.strftime("%H:%M:%S", time.localtime(event.at))
    if isinstance(event, (HostReady, StatusAsked)):
        return f"\n{_overview(plugins)}\n"
    if isinstance(event, EventsLost):
        return f"{clock}  {event.count} events were lost: stdout was not read in time\n"
    what = _what(event, is_brief)
    width = max((len(one.id) for one in _wanted(plugins)), default=0)
    return output.printable(f"{clock}  {event.plugin:<{width}}  {what}") + "\n" if what else ""


def _what(event: HostEvent, is_brief: bool) -> str:
    """What happened to a plugin, on one line; a death is told by the change of state that follows it."""
    if isinstance(event, StateChanged):
        return _move(event, is_brief)
    if isinstance(event, HealthChanged):
        return f"{'answers again' if event.healthy else 'unresponsive'}: {event.reason}"
    if isinstance(event, PluginSwapped):
        return f"replaced {event.old_version} by {event.new_version} (pid {event.pid})"
    return ""


def event_map(event: HostEvent, plugins: Plugins) -> dict[str, Any]:
    """The event for programs."""
    if isinstance(event, (HostReady, StatusAsked)):
        shown = [_plugin_map(plugin) for plugin in _wanted(plugins)]
        name = "ready" if isinstance(event, HostReady) else "status"
        return {"event": name, "at": event.at, "plugins": shown}
    if isinstance(event, EventsLost):
        return {"event": "lost", "at": event.at, "count": event.count}
    if isinstance(event, PluginNotified):
        said = {"plugin": event.plugin, "method": event.method, "params": event.params}
        return {"event": "notification", "at": event.at, **said}
    if isinstance(event, DeathTold):
        return {"event": "death", "at": event.at, "plugin": event.plugin, "report": event.report.to_map()}
    if isinstance(event, HealthChanged):
        said = {"plugin": event.plugin, "healthy": event.healthy, "reason": event.reason}
        return {"event": "health", "at": event.at, **said}
    if isinstance(event, PluginSwapped):
        versions = {"old_version": event.old_version, "new_version": event.new_version}
        return {"event": "swapped", "at": event.at, "plugin": event.plugin, **versions, "pid": event.pid}
    assert isinstance(event, StateChanged)
    moved: dict[str, Any] = {"plugin": event.plugin, "old": str(event.old), "new": str(event.new)}
    moved |= {"reason": event.reason or None, "pid": event.pid}
    if (error := _error_of(event, plugins)) is not None:
        moved["error"] = as_map(error)
    return {"event": "state", "at": event.at, **moved}


def troubles(event: HostEvent, plugins: Plugins) -> list[Exception]:
    """What the event says has gone wrong, in full."""
    if isinstance(event, HostReady):
        wanted = _wanted(plugins)
        return [one.error for one in wanted if one.state is State.DISCOVERED and one.error is not None]
    error = _error_of(event, plugins) if isinstance(event, StateChanged) else None
    return [] if error is None else [error]


def _error_of(event: StateChanged, plugins: Plugins) -> Exception | None:
    return plugins[event.plugin].error if event.new in (State.FAILED, State.BACKOFF) else None


def _move(event: StateChanged, is_brief: bool) -> str:
    if is_brief and event.new in (State.FAILED, State.BACKOFF):
        return str(event.new)
    if event.new is State.READY:
        return f"{event.new} (pid {event.pid})"
    reason = event.reason.removeprefix(f"plugin `{event.plugin}` ")
    return f"{event.new}: {reason}" if reason else str(event.new)


def _overview(plugins: Plugins) -> str:
    rows = [
        (one.id, one.version, _state(one) + _restarted(one), str(one.pid or ""), _commands(one))
        for one in _wanted(plugins)
    ]
    return table(("PLUGIN", "VERSION", "STATE", "PID", "COMMANDS"), rows)


def _wanted(plugins: Plugins) -> list[Plugin]:
    """Those that nobody left out."""
    return [plugin for plugin in plugins.values() if plugin.candidate.skipped is None]


def _state(plugin: Plugin) -> str:
    if plugin.candidate.error is not None:
        return "broken"
    return str(plugin.state) if plugin.healthy else "unresponsive"


def _restarted(plugin: Plugin) -> str:
    times = "once" if plugin.restarts == 1 else f"{plugin.restarts} times"
    return f", restarted {times}" if plugin.restarts else ""


def _commands(plugin: Plugin) -> str:
    if plugin.is_raw and plugin.state is State.READY:
        return "(plain msgpack-RPC)"
    return " ".join(plugin.commands)


def _plugin_map(plugin: Plugin) -> dict[str, Any]:
    return {
        "id": plugin.id,
        "version": plugin.version or None,
        "state": _state(plugin),
        "pid": plugin.pid,
        "source": plugin.source,
        "commands": plugin.commands,
        "healthy": plugin.healthy,
        "restarts": plugin.restarts,
        "death": None if plugin.death is None else plugin.death.to_map(),
        "error": None if plugin.error is None else as_map(plugin.error),
    }
