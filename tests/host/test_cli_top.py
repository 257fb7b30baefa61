"""The table of `top`, from two snapshots: rates, durations, order, and what fits on the screen."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from plugin_host.cli.topfit import fit
from plugin_host.cli.topline import SORTS, Line, as_map, lines, ordered
from plugin_host.cli.topscreen import TopScreen
from plugin_host.cli.toptable import TITLES, cells, memory_text, seconds_text, summary
from plugin_host.metric.histogram import BOUNDS, BUCKETS
from plugin_host.metric.snapshot import CallFigures, PluginFigures, Snapshot

pytestmark = pytest.mark.edges

QUIET: PluginFigures = {
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
    "traffic": {"received_bytes": 0, "sent_bytes": 0},
    "usage": {"cpu_seconds": 1.0, "memory_bytes": 10 << 20, "processes": 2, "threads": 5},
    "sessions": {"opened": 0, "running": 0, "failures": {}, "ended": {}},
    "calls": {},
}


def plugin(**changes: Any) -> PluginFigures:
    figures: PluginFigures = {**QUIET, **changes}  # type: ignore[typeddict-item]
    return figures


def calls(durations: dict[float, int], *, in_flight: int = 0, failed: int = 0) -> CallFigures:
    """So many calls of each duration, which is one of the bounds of the buckets."""
    buckets = [0] * BUCKETS
    for seconds, count in durations.items():
        buckets[BOUNDS.index(seconds)] += count
    finished = sum(durations.values())
    return {
        "started": finished + in_flight,
        "finished": finished,
        "in_flight": in_flight,
        "failures": {"command.failed": failed} if failed else {},
        "seconds": 0.0,
        "buckets": buckets,
    }


def snapshot(uptime: float, **plugins: PluginFigures) -> Snapshot:
    """Of a host that was started at 100."""
    at = 100.0 + uptime
    return {"version": "1.0", "at": at, "started_at": 100.0, "uptime": uptime, "plugins": plugins}


def line(**changes: Any) -> Line:
    (one,) = lines(snapshot(2, demo=plugin()), snapshot(1, demo=plugin()))
    return replace(one, **changes)


def test_rates_are_those_between_the_two_looks() -> None:
    usage = {**QUIET["usage"], "cpu_seconds": 2.5}
    earlier = snapshot(10, demo=plugin(calls={"a": calls({0.001: 100}, failed=1)}))
    later = snapshot(
        12,
        demo=plugin(
            usage=usage,
            restarts=3,
            calls={"a": calls({0.001: 140}, in_flight=2, failed=3), "b": calls({0.1: 60}, in_flight=1)},
            sessions={"opened": 5, "running": 4, "failures": {}, "ended": {}},
        ),
    )
    (one,) = lines(later, earlier)
    assert (one.calls_per_s, one.failures_per_s, one.cpu_percent) == (50.0, 1.0, 75.0)
    assert (one.in_flight, one.sessions, one.restarts) == (3, 4, 3)
    assert one.p50_s is not None
    assert one.p99_s is not None
    # 40 of the 100 calls in between took 1 ms, all others 100 ms.
    assert 0.08 < one.p50_s < one.p99_s <= 0.1


def test_without_calls_in_between_there_are_no_durations() -> None:
    figures = plugin(calls={"a": calls({0.001: 100})})
    (one,) = lines(snapshot(2, demo=figures), snapshot(1, demo=figures))
    assert (one.calls_per_s, one.p50_s, one.p99_s) == (0.0, None, None)


def test_without_time_in_between_there_are_no_rates() -> None:
    same = snapshot(2, demo=plugin(calls={"a": calls({0.001: 100})}))
    (one,) = lines(same, same)
    assert (one.calls_per_s, one.failures_per_s, one.cpu_percent) == (None, None, None)
    assert cells(one)[3] == "-"


def test_a_plugin_that_was_not_there_before_counts_from_its_beginning() -> None:
    later = snapshot(12, new=plugin(calls={"a": calls({0.001: 8})}))
    (one,) = lines(later, snapshot(10))
    assert one.calls_per_s == 4.0


def test_another_run_of_the_host_counts_from_its_beginning() -> None:
    later = snapshot(4, demo=plugin(calls={"a": calls({0.001: 8})}))
    later["started_at"] = 200.0
    earlier = snapshot(50, demo=plugin(calls={"a": calls({0.001: 1000})}))
    (one,) = lines(later, earlier)
    assert one.calls_per_s == 2.0


def test_a_plugin_that_nobody_has_started_has_no_line() -> None:
    left_out = plugin(state="discovered", pid=None)
    found = lines(snapshot(2, raw=left_out, demo=plugin()), snapshot(1, raw=left_out, demo=plugin()))
    assert [one.plugin for one in found] == ["demo"]


def test_a_plugin_that_does_not_answer_is_shown_as_such() -> None:
    (one,) = lines(snapshot(2, demo=plugin(healthy=False)), snapshot(1, demo=plugin()))
    assert one.state == "unresponsive"


@pytest.mark.parametrize(
    ("sort", "first"),
    [("cpu", "a"), ("memory", "b"), ("calls", "c"), ("latency", "d"), ("sessions", "e"), ("restarts", "f")],
)
def test_the_plugin_with_the_most_comes_first(sort: str, first: str) -> None:
    given = [
        line(plugin="z", cpu_percent=None, calls_per_s=None),
        line(plugin="a", cpu_percent=50.0),
        line(plugin="b", memory_bytes=1 << 40),
        line(plugin="c", calls_per_s=9.0),
        line(plugin="d", p99_s=1.0),
        line(plugin="e", sessions=1),
        line(plugin="f", restarts=1),
    ]
    assert ordered(given, sort)[0].plugin == first
    assert sort in SORTS


def test_plugins_that_are_equal_stay_as_the_host_has_them() -> None:
    given = [line(plugin=name) for name in ("b", "c", "a")]
    assert ordered(given, "cpu") == given
    assert ordered(given, "plugin") == given


def test_there_is_a_cell_for_every_title() -> None:
    idle = line(state="idle", pid=None, processes=0, memory_bytes=0)
    for one in (line(), idle):
        assert len(cells(one)) == len(TITLES)
    assert cells(idle)[:6] == ["demo", "idle", "-", "0.0", "-", "0"]


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 K"), (512 << 10, "512 K"), (1 << 20, "1.0 M"), (250 << 20, "250 M"), (3 << 29, "1.5 G")],
)
def test_memory_is_told_in_a_few_characters(size: int, text: str) -> None:
    assert memory_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0000052, "5.2 µs"),
        (0.00085, "850 µs"),
        (0.0009999, "1.0 ms"),
        (0.0123, "12 ms"),
        (1.25, "1.2 s"),
        (100.0, "100 s"),
    ],
)
def test_durations_are_told_in_a_few_characters(seconds: float | None, text: str) -> None:
    assert seconds_text(seconds) == text


def test_all_plugins_together_are_one_line() -> None:
    both = [line(calls_per_s=2.0, cpu_percent=10.0), line(state="failed", calls_per_s=None)]
    text = summary(snapshot(3), both)
    assert "plugins: 1 ready, 1 failed" in text
    assert "cpu 10.0 %" in text
    assert "calls/s 2.0" in text


def test_programs_get_plain_numbers() -> None:
    told = as_map(snapshot(12, demo=plugin()), snapshot(10, demo=plugin()), "cpu")
    assert json.loads(json.dumps(told)) == told
    assert (told["at"], told["interval_s"]) == (112.0, 2)
    (one,) = told["plugins"]
    assert one["plugin"] == "demo"
    assert (one["memory_bytes"], one["p50_s"]) == (10 << 20, None)


# The picture.


def drawn(screen: TopScreen, rows: int, width: int = 130) -> list[str]:
    console = Console(width=width, height=rows, force_terminal=False)
    with console.capture() as capture:
        console.print(screen.draw(rows))
    return [text.rstrip() for text in capture.get().splitlines()]


def test_the_picture_has_a_row_for_each_plugin() -> None:
    screen = TopScreen("cpu", 2.0)
    assert drawn(screen, 24) == ["waiting for the host …"]
    screen.look(snapshot(2, one=plugin(), two=plugin()), snapshot(1))
    head, empty, titles, one, two, foot = drawn(screen, 24)
    assert head.startswith("plugin-host 1.0  plugins: 2 ready")
    assert empty == ""
    assert tuple(titles.replace("IN FLIGHT", "IN_FLIGHT").split()) == tuple(
        title.replace(" ", "_") for title in TITLES
    )
    assert (one.split()[:3], two.split()[:3]) == (["one", "ready", "7"], ["two", "ready", "7"])
    assert foot == "every 2 s, by cpu; q quits"


@pytest.mark.parametrize("width", [130, 100, 80, 70, 40, 24])
def test_no_number_is_cut_on_a_narrow_terminal(width: int) -> None:
    screen = TopScreen("cpu", 2.0)
    screen.look(snapshot(2, **{"automation": plugin(), "x" * 30: plugin()}), snapshot(1))
    titles, *rows = drawn(screen, 24, width)[2:-1]
    assert all(len(row) <= width for row in (titles, *rows))
    assert "…" not in titles
    for row in rows:
        name, state, *numbers = row.split()
        assert name.startswith(("automat", "xxxxxxx"))
        assert state == "ready"
        assert "…" not in "".join(numbers)
    assert ("RESTARTS" in titles, "PID" in titles) == (width >= 100, width >= 70)


def test_what_the_usual_terminal_shows_is_all_but_what_can_be_done_without() -> None:
    busy = [
        "automation",
        "ready",
        "1234567",
        "100.0",
        "13.1 M",
        "3",
        "12000",
        "0",
        "850 µs",
        "12 ms",
        *"910",
    ]
    titles = fit([busy], 80).titles
    assert {"STATE", "PID", "CPU%", "MEM", "CALLS/S", "P50", "P99", "FLIGHT", "SESS", "REST"} < {*titles}


def test_plugins_that_do_not_fit_are_counted() -> None:
    screen = TopScreen("plugin", 1.0)
    many = {f"p{number:02}": plugin() for number in range(30)}
    screen.look(snapshot(2, **many), snapshot(1, **many))
    shown = drawn(screen, 10)
    assert len(shown) == 10
    assert shown[-1].startswith("24 more plugins do not fit")
    assert shown[-2].startswith("p05")
