"""The report of a death, in words and as plain values."""

from __future__ import annotations

import json
import re

import pytest

from plugin_host.death import DeathReport, Phase
from plugin_host.errors import PluginDied
from plugin_host.exitstatus import ExitStatus

REPORT = DeathReport(
    plugin="demo",
    phase=Phase.CALL,
    how="killed by SIGSEGV (segmentation fault)",
    pid=42,
    status=ExitStatus(code=None, signal=11, peak_memory=1024, cpu_s=0.5),
    stderr=("one", "two", "", "three", "four"),
    calls=("add", "greet", "add"),
    sessions=("s1",),
    tasks=("t1",),
    uptime=1.25,
    peak_memory=1024,
    cpu_s=0.5,
    restarts=2,
    next="It is started again in 0.4 s.",
    at=1_700_000_000.0,
)


def test_description_has_the_last_lines_and_what_follows() -> None:
    assert REPORT.describe("while the call was in flight").splitlines() == [
        "plugin `demo` died while the call was in flight: "
        "killed by SIGSEGV (segmentation fault), after 1.2 s",
        "  last lines of its stderr:",
        "    two",
        "    three",
        "    four",
        "  It is started again in 0.4 s.",
    ]


def test_hang_stands_above_the_last_lines() -> None:
    report = DeathReport(
        plugin="demo",
        phase=Phase.IDLE,
        how="did not answer",
        hang="main sleeps\n  at x.py:3",
        stderr=("a",),
    )
    assert report.describe().splitlines() == [
        "plugin `demo` died: did not answer, after 0.0 s",
        "  what it was doing:",
        "    main sleeps",
        "      at x.py:3",
        "  last lines of its stderr:",
        "    a",
    ]


@pytest.mark.parametrize(
    ("calls", "sessions", "tasks", "busy"),
    [
        ((), (), (), "phase idle"),
        (("greet",), (), (), "call greet"),
        (("add", "greet", "add"), (), ("t1",), "3 calls: add (2), greet and task t1"),
        (tuple("abcdefg"), ("s1", "s2"), (), "7 calls: a, b, c, d, e, … and 2 sessions: s1, s2"),
    ],
)
def test_story_is_one_line_that_says_what_it_was_doing(
    calls: tuple[str, ...], sessions: tuple[str, ...], tasks: tuple[str, ...], busy: str
) -> None:
    report = DeathReport(
        plugin="demo",
        phase=Phase.IDLE,
        how="exited with status 3",
        calls=calls,
        sessions=sessions,
        tasks=tasks,
    )
    told = re.fullmatch(r"\d\d:\d\d:\d\d  exited with status 3, after 0.0 s \((.*)\)", report.story())
    assert told
    assert told[1] == busy


def test_map_is_json_with_everything() -> None:
    told = json.loads(json.dumps(REPORT.to_map()))
    assert told["phase"] == "call"
    assert (told["exit_code"], told["signal"]) == (None, 11)
    assert told["calls"] == ["add", "greet", "add"]
    fields = set(DeathReport.__dataclass_fields__) - {"status", "uptime", "peak_memory"}
    assert fields <= set(told)


def test_exception_of_a_call_carries_the_report() -> None:
    error = PluginDied.of(REPORT, "while the call was in flight")
    assert error.report is REPORT
    assert (error.plugin, error.stderr, error.uptime) == ("demo", REPORT.stderr, 1.25)
    assert (error.name, error.retryable) == ("command.connection", True)
    assert str(error) == REPORT.describe("while the call was in flight")
