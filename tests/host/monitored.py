"""A plugin's health as its driver works it: questions, answers and silence, by the test's own clock."""

from __future__ import annotations

from plugin_host.health import Condition, HealthMonitor
from plugin_host.manifest import Health
from plugin_host.vitals import Vitals

POLICY = Health(interval_s=10, timeout_s=3, misses=3)


def asking(policy: Health = POLICY, now: float = 100.0) -> HealthMonitor:
    """A monitor that has just asked, at a multiple of its interval."""
    monitor = HealthMonitor(policy, now)
    assert monitor.look(now, heard=False, stuck=False)
    monitor.asked(now)
    return monitor


def miss(monitor: HealthMonitor) -> Condition | None:
    """The time for an answer, or for the next one, passes."""
    return monitor.expire(monitor.due)


def answer(monitor: HealthMonitor, vitals: Vitals | None = None, after: float = 0.1) -> Condition | None:
    return monitor.answered(monitor.due - 3 + after, vitals)


def ask_again(monitor: HealthMonitor) -> float:
    """At its next look; the time of it."""
    now = monitor.due
    assert monitor.look(now, heard=False, stuck=False)
    monitor.asked(now)
    return now


def peaceful_looks(monitor: HealthMonitor, **seen: bool) -> int:
    """How many looks pass until it is asked again, while nothing happens but what was `seen` at each."""
    for spared in range(100):
        now = monitor.due
        if monitor.look(now, **{"heard": False, "stuck": False, "used": False, **seen}):
            monitor.asked(now)
            return spared
    return 100
