"""The host's events as lines: one for people, one of JSON for programs.

Pure but for the plugins it is given to look at. The JSON forms are those of `eventmap`, and two of `run`'s
own:

    ready    plugins: every plugin that may run has been started, or says why not
    status   plugins: the same at another time, asked for by a signal
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plugin_host import eventmap
from plugin_host.event import HostEvent, StateChanged
from plugin_host.state import State

from . import output
from .failure import as_map
from .table import table

if TYPE_CHECKING:
    from plugin_host.plugin import Plugin

__all__ = ["HostReady", "StatusAsked", "event_line", "event_map", "event_text", "troubles"]

Plugins = Mapping[str, "Plugin"]

# The other states are short, or of interest to who gave the task.
_TOLD_OF_TASKS = {"running": "runs", "ended": "has ended", "lost": "was lost"}


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
    if isinstance(event, (HostReady, StatusAsked)):
        return f"\n{_overview(plugins)}\n"
    width = max((len(one.id) for one in _wanted(plugins)), default=0)
    return event_line(eventmap.event_map(event), width, is_brief=is_brief)


def event_line(event: Mapping[str, Any], width: int, *, is_brief: bool = False) -> str:
    """An event that is a map, for people; `width` is that of the longest id of a plugin."""
    clock = time.strftime("%H:%M:%S", time.localtime(event["at"]))
    if event["event"] == "lost":
        return f"{clock}  {event['count']} events are missing here: they were not taken in time\n"
    what = _what(event, is_brief)
    return output.printable(f"{clock}  {event['plugin']:<{width}}  {what}") + "\n" if what else ""


def _what(event: Mapping[str, Any], is_brief: bool) -> str:
    """What happened to a plugin, on one line; a death is told by the change of state that follows it."""
    name = event["event"]
    if name == "state":
        return _move(event, is_brief)
    if name == "health":
        return f"{_health(event)}: {event['reason']}"
    if name == "swapped":
        return f"replaced {event['old_version']} by {event['new_version']} (pid {event['pid']})"
    if name == "action_started":
        return f"action {event['action']} started: {event['kind']}"
    if name == "action_ended":
        return f"action {event['action']} {'done' if event['success'] else 'failed'}: {event['kind']}"
    if name == "session_opened":
        return f"session {event['session']} opened: {shlex.join(event['command']) or event['handler']}"
    if name == "session_ended":
        return f"session {event['session']} ended: {_ending(event['exit'])}"
    if name == "task" and event["state"] in _TOLD_OF_TASKS:
        return f"task {event['task']} {_TOLD_OF_TASKS[event['state']]}"
    return ""


def _health(event: Mapping[str, Any]) -> str:
    if event["healthy"]:
        return "well again"
    return "stalled" if event.get("cause") == "stalled" else "unresponsive"


def _ending(exit: Mapping[str, Any] | None) -> str:
    if exit is None:
        return "its plugin is gone"
    if exit["signal"]:
        return str(exit["signal"])
    return f"code {exit['code']}" if exit["code"] is not None else exit["reason"] or "no more is known"


def event_map(event: HostEvent, plugins: Plugins) -> dict[str, Any]:
    """The event for programs."""
    if isinstance(event, (HostReady, StatusAsked)):
        shown = [_plugin_map(plugin) for plugin in _wanted(plugins)]
        name = "ready" if isinstance(event, HostReady) else "status"
        return {"event": name, "at": event.at, "plugins": shown}
    return eventmap.event_map(event)


def troubles(event: HostEvent, plugins: Plugins) -> list[Exception]:
    """What the event says has gone wrong, in full."""
    if isinstance(event, HostReady):
        wanted = _wanted(plugins)
        return [one.error for one in wanted if one.state is State.DISCOVERED and one.error is not None]
    error = event.error if isinstance(event, StateChanged) else None
    return [] if error is None else [error]


def _move(event: Mapping[str, Any], is_brief: bool) -> str:
    new = event["new"]
    if is_brief and new in (State.FAILED, State.BACKOFF):
        return str(new)
    if new == State.READY:
        return f"{new} (pid {event['pid']})"
    reason = (event["reason"] or "").removeprefix(f"plugin `{event['plugin']}` ")
    return f"{new}: {reason}" if reason else str(new)


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
