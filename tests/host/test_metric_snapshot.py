"""The numbers of a host: what lies between two snapshots, and counts that outlive a run."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.metric.meter import Meter
from plugin_host.metric.odometer import Odometer
from plugin_host.metric.snapshot import PluginFigures, Snapshot, difference

pytestmark = pytest.mark.edges


class Bytes:
    """What a connection counts."""

    def __init__(self, received: int, sent: int) -> None:
        self.received_bytes, self.sent_bytes = received, sent


def figures(meter: Meter, **others: Any) -> PluginFigures:
    found: PluginFigures = {
        "version": "1.0.0",
        "state": "ready",
        "pid": 7,
        "healthy": True,
        "starts": 1,
        "restarts": 0,
        "reloads": 0,
        "deaths": {},
        "health_misses": 0,
        "unresponsive": 0,
        "log_dropped": 0,
        "traffic": meter.traffic(),
        "usage": {"cpu_seconds": 1.5, "memory_bytes": 1000, "processes": 1, "threads": 3},
        "sessions": meter.sessions.figures(0),
        "calls": meter.calls.figures(),
    }
    return PluginFigures(**{**found, **others})  # type: ignore[typeddict-item]


def snapshot(at: float, started_at: float = 100.0, **plugins: PluginFigures) -> Snapshot:
    return {
        "version": "0.1.0",
        "at": at,
        "started_at": started_at,
        "uptime": at - started_at,
        "plugins": plugins,
    }


def test_what_was_counted_between_two_moments() -> None:
    meter = Meter()
    row = meter.calls["echo"]
    row.started += 2
    row.end(0.001)
    earlier = snapshot(110.0, demo=figures(meter))
    row.started += 3
    for _ in range(3):
        row.end(0.002)
    meter.calls["new"].started += 1
    later = snapshot(112.0, demo=figures(meter, restarts=1, deaths={"call": 1}, pid=8))
    kept = copy.deepcopy(later)
    between = difference(later, earlier)
    assert between["uptime"] == 2.0
    demo = between["plugins"]["demo"]
    assert (demo["restarts"], demo["deaths"], demo["pid"], demo["starts"]) == (1, {"call": 1}, 8, 0)
    assert demo["usage"] == {"cpu_seconds": 0.0, "memory_bytes": 1000, "processes": 1, "threads": 3}
    echo = demo["calls"]["echo"]
    assert (echo["started"], echo["finished"], echo["in_flight"]) == (3, 3, 1)
    assert sum(echo["buckets"]) == 3
    assert demo["calls"]["new"]["started"] == 1
    assert later == kept


def test_a_plugin_that_was_not_there_before_counts_from_nothing() -> None:
    meter = Meter()
    meter.calls["echo"].started += 1
    between = difference(snapshot(2.0, demo=figures(meter)), snapshot(1.0))
    assert between["plugins"]["demo"]["calls"]["echo"]["started"] == 1


def test_of_a_host_that_was_started_anew_everything_counts() -> None:
    later = snapshot(250.0, started_at=200.0, demo=figures(Meter()))
    assert difference(later, snapshot(150.0, demo=figures(Meter()))) is later


def test_a_snapshot_is_what_json_can_hold() -> None:
    taken = snapshot(1.0, demo=figures(Meter()))
    assert json.loads(json.dumps(taken)) == taken


def test_bytes_of_a_connection_that_ended_still_count() -> None:
    meter = Meter()
    first, second = Bytes(10, 1), Bytes(10, 2)
    for wire in (first, second):
        meter.add_wire(wire)
    meter.drop_wire(first)
    meter.drop_wire(first)
    second.received_bytes += 5
    assert meter.traffic() == {"received_bytes": 25, "sent_bytes": 3}


def test_sessions_end_in_one_of_four_ways() -> None:
    meter = Meter().sessions
    for code, signal in ((0, None), (3, None), (None, "SIGKILL"), (None, None)):
        meter.end(code, signal)
    assert meter.figures(2)["ended"] == {"ok": 1, "error": 2, "signal": 1, "lost": 0}
    assert meter.figures(2)["running"] == 2


def test_the_time_of_a_run_that_ended_still_counts() -> None:
    total = Odometer()
    assert total.read({1: 5.0}) == 5.0
    assert total.read({1: 6.0, 2: 1.0}) == 7.0
    assert total.read({2: 2.0}) == 8.0
    assert total.read({}) == 8.0


@given(st.lists(st.dictionaries(st.integers(1, 3), st.floats(0, 1e6))))
def test_a_total_never_falls(readings: list[dict[int, float]]) -> None:
    total, last = Odometer(), 0.0
    for runs in readings:
        now = total.read(runs)
        assert now >= last - 1e-6
        last = now
