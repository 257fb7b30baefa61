"""Events for programs, and the same for people."""

from __future__ import annotations

from typing import Any

import pytest

from plugin_host.cli.eventline import event_line
from plugin_host.death import DeathReport, Phase
from plugin_host.errors import LaunchError
from plugin_host.event import (
    ActionEnded,
    ActionStarted,
    DeathTold,
    EventsLost,
    HealthChanged,
    HostEvent,
    PluginNotified,
    PluginSwapped,
    SessionEnded,
    SessionOpened,
    StateChanged,
    TaskChanged,
)
from plugin_host.eventmap import event_map
from plugin_host.state import State
from plugin_host_sdk.types.session import Exit, SessionInfo

INFO = SessionInfo(id="s1", handler="demo/local", command=("sh", "-c", "a b"), pid=7)
REPORT = DeathReport(plugin="demo", phase=Phase.CALL, how="killed by SIGSEGV")
EVENTS: list[tuple[HostEvent, dict[str, Any], str]] = [
    (
        StateChanged(plugin="demo", old=State.STARTING, new=State.READY, pid=7),
        {"event": "state", "old": "starting", "new": "ready", "reason": None, "pid": 7},
        "ready (pid 7)",
    ),
    (
        StateChanged(plugin="demo", old=State.READY, new=State.STOPPED, reason="plugin `demo` ended"),
        {"event": "state", "old": "ready", "new": "stopped", "reason": "plugin `demo` ended", "pid": None},
        "stopped: ended",
    ),
    (
        HealthChanged(plugin="demo", healthy=False, reason="no answer", cause="silent"),
        {"event": "health", "healthy": False, "reason": "no answer", "cause": "silent"},
        "unresponsive: no answer",
    ),
    (
        HealthChanged(plugin="demo", healthy=False, reason="2 running", cause="stalled"),
        {"event": "health", "healthy": False, "reason": "2 running", "cause": "stalled"},
        "stalled: 2 running",
    ),
    (
        HealthChanged(plugin="demo", healthy=True, reason="it answers"),
        {"event": "health", "healthy": True, "reason": "it answers", "cause": None},
        "well again: it answers",
    ),
    (
        PluginSwapped(plugin="demo", old_version="1", new_version="2", pid=8),
        {"event": "swapped", "old_version": "1", "new_version": "2", "pid": 8},
        "replaced 1 by 2 (pid 8)",
    ),
    (
        ActionStarted(plugin="demo", action="a1", kind="exit"),
        {"event": "action_started", "action": "a1", "kind": "exit"},
        "action a1 started: exit",
    ),
    (
        ActionEnded(plugin="demo", action="a1", kind="exit", success=False),
        {"event": "action_ended", "action": "a1", "kind": "exit", "success": False},
        "action a1 failed: exit",
    ),
    (
        TaskChanged(plugin="demo", task="t1", state="running"),
        {"event": "task", "task": "t1", "state": "running"},
        "task t1 runs",
    ),
    (
        TaskChanged(plugin="demo", task="t1", state="offered"),
        {"event": "task", "task": "t1", "state": "offered"},
        "",
    ),
    (
        SessionOpened(plugin="demo", session="s1", info=INFO),
        {
            "event": "session_opened",
            "session": "s1",
            "handler": "demo/local",
            "tty": True,
            "pid": 7,
            "command": ["sh", "-c", "a b"],
        },
        "session s1 opened: sh -c 'a b'",
    ),
    (
        SessionEnded(plugin="demo", session="s1", exit=Exit(code=3, reason="exited")),
        {
            "event": "session_ended",
            "session": "s1",
            "exit": {"code": 3, "signal": None, "reason": "exited", "duration": 0.0, "error": None},
        },
        "session s1 ended: code 3",
    ),
    (
        SessionEnded(plugin="demo", session="s1", exit=None),
        {"event": "session_ended", "session": "s1", "exit": None},
        "session s1 ended: its plugin is gone",
    ),
    (
        PluginNotified(plugin="demo", method="redraw", params=[b"\xff"]),
        {"event": "notification", "method": "redraw", "params": [b"\xff"]},
        "",
    ),
    (DeathTold(plugin="demo", report=REPORT), {"event": "death", "report": REPORT.to_map()}, ""),
]


@pytest.mark.parametrize(("event", "told", "line"), EVENTS, ids=lambda one: type(one).__name__)
def test_every_event_has_one_form_for_programs_and_a_line_for_people(
    event: HostEvent, told: dict[str, Any], line: str
) -> None:
    assert event_map(event) == {"plugin": "demo", "at": event.at, **told}
    shown = event_line(event_map(event), 6)
    assert shown.partition("  ")[2] == (f"demo    {line}\n" if line else "")


def test_a_state_that_is_a_failure_says_why() -> None:
    error = LaunchError("no such file", plugin="demo")
    event = StateChanged(plugin="demo", old=State.STARTING, new=State.FAILED, error=error)
    assert event_map(event)["error"] == {
        "type": "LaunchError",
        "message": "no such file",
        "plugin": "demo",
    }


def test_lost_events_are_counted() -> None:
    told = event_map(EventsLost(plugin="demo", count=3, at=1.0))
    assert told == {"event": "lost", "at": 1.0, "count": 3}
    assert "3 events are missing here" in event_line(told, 4)


def test_control_characters_do_not_reach_the_terminal() -> None:
    event = HealthChanged(plugin="demo", healthy=True, reason="\x1b[2J")
    assert "\x1b" not in event_line(event_map(event), 4)


def test_an_event_that_is_not_the_hosts_has_no_form() -> None:
    with pytest.raises(TypeError, match="HostEvent"):
        event_map(HostEvent(plugin="demo"))
