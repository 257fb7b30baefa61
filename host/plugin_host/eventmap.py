"""The host's events as plain maps, for programs.

Pure. The forms are a contract; each has `event` and `at`, in seconds since the epoch:

    state           plugin, old, new, reason, pid, and `error` when new is "failed" or "backoff"
    death           plugin, report: how and in the middle of what it ended, and what happens next
    health          plugin, healthy, reason, cause: silent, loop or stalled; null when it is well again
    swapped         plugin, old_version, new_version, pid
    session_opened  plugin, session, handler, tty, command, pid
    session_ended   plugin, session, exit: code, signal, reason, …; null when it was lost with its plugin
    action_started  plugin, action, kind
    action_ended    plugin, action, kind, success
    task            plugin (empty for none), task, state: to which it has come, `closed` in the end
    notification    plugin, method, params: what a raw peer sent by itself
    lost            count: so many events are missing here because nobody read them
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from .event import (
    ActionEnded,
    ActionStarted,
    DeathTold,
    EventsLost,
    HealthChanged,
    PluginNotified,
    PluginSwapped,
    SessionEnded,
    SessionOpened,
    StateChanged,
    TaskChanged,
)
from .failuremap import as_map

if TYPE_CHECKING:
    from .event import HostEvent

__all__ = ["event_map"]


def event_map(event: HostEvent) -> dict[str, Any]:
    """The event as values of the wire. Raises TypeError for one that is not the host's own."""
    if isinstance(event, EventsLost):
        return {"event": "lost", "at": event.at, "count": event.count}
    name, what = _told(event)
    return {"event": name, "at": event.at, "plugin": event.plugin, **what}


def _told(event: HostEvent) -> tuple[str, dict[str, Any]]:
    """Its name, and what it has beside plugin and time."""
    if isinstance(event, StateChanged):
        return "state", _move(event)
    if isinstance(event, DeathTold):
        return "death", {"report": event.report.to_map()}
    if isinstance(event, HealthChanged):
        return "health", {"healthy": event.healthy, "reason": event.reason, "cause": event.cause}
    if isinstance(event, PluginSwapped):
        versions = {"old_version": event.old_version, "new_version": event.new_version}
        return "swapped", {**versions, "pid": event.pid}
    if isinstance(event, SessionOpened):
        return "session_opened", _session(event)
    if isinstance(event, SessionEnded):
        exit = None if event.exit is None else msgspec.to_builtins(event.exit)
        return "session_ended", {"session": event.session, "exit": exit}
    if isinstance(event, ActionStarted):
        return "action_started", {"action": event.action, "kind": event.kind}
    if isinstance(event, ActionEnded):
        ended = {"action": event.action, "kind": event.kind}
        return "action_ended", {**ended, "success": event.success}
    if isinstance(event, TaskChanged):
        return "task", {"task": event.task, "state": event.state}
    if isinstance(event, PluginNotified):
        return "notification", {"method": event.method, "params": event.params}
    raise TypeError(f"a {type(event).__name__} has no form for programs")


def _move(event: StateChanged) -> dict[str, Any]:
    moved: dict[str, Any] = {"old": str(event.old), "new": str(event.new)}
    moved |= {"reason": event.reason or None, "pid": event.pid}
    if event.error is not None:
        moved["error"] = as_map(event.error)
    return moved


def _session(event: SessionOpened) -> dict[str, Any]:
    info = event.info
    opened = {"session": event.session, "handler": info.handler, "tty": info.tty}
    return opened | {"command": list(info.command), "pid": info.pid}
