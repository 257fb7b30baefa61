"""The suite sees what it is there to see: each of its judges, with something that is wrong."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from plugin_host import (
    CallFailed,
    CallTimeout,
    DeathReport,
    DeathTold,
    EventsLost,
    HealthChanged,
    Phase,
    PluginDied,
    PluginHostError,
    SessionClosed,
    State,
    StateChanged,
)
from tests.run import Run

from .chronicle import Chronicle, in_words
from .deck import Deck
from .fault import FAULTS
from .gauge import Growth
from .judge import LATE_S, kind_of, lateness, objection
from .leftover import before, leftovers
from .part import Part, cast
from .pulse import Pulse
from .tally import Tally

pytestmark = pytest.mark.edges


def report(plugin: str, **keys: str) -> DeathReport:
    return DeathReport(plugin=plugin, phase=Phase.CALL, **{"how": "exited", "next": "That is it.", **keys})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        (CallTimeout("demo echo: no answer"), None),
        (PluginDied.of(report("demo")), None),
        (CallTimeout("no answer"), "does not say of whom"),
        (CallFailed(" "), "no reason"),
        (SessionClosed("demo has ended"), "not documented"),
        (PluginHostError("demo"), "not documented"),
        (PluginDied("demo died"), "has no report"),
        (PluginDied.of(report("demo", how="")), "has no report"),
        (PluginDied("demo died", report=report("other")), "the report of other"),
    ],
)
def test_errors_without_kind_name_or_reason_are_objected_to(
    error: PluginHostError, wrong: str | None
) -> None:
    found = objection(error, "demo")
    assert found is None if wrong is None else wrong in str(found)


def test_failures_are_counted_by_kind() -> None:
    assert kind_of(CallTimeout("late", name="command.timeout")) == "CallTimeout"
    assert kind_of(CallFailed("no", name="rpc.busy")) == "CallFailed (rpc.busy)"


def test_lateness_is_excused_by_that_of_the_loop_alone(run: Run) -> None:
    async def body() -> None:
        pulse = Pulse()
        beat = asyncio.create_task(pulse.beat())
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.05)
        deadline = loop.time() - LATE_S - 0.3
        assert lateness(deadline, pulse) > 0.2
        assert lateness(loop.time() - LATE_S / 2, pulse) == 0.0
        time.sleep(0.4)  # noqa: ASYNC251 - the loop is late
        await asyncio.sleep(0)
        assert lateness(deadline + 0.35, pulse) == 0.0
        assert pulse.busiest_s < 0.3 < pulse.late_since(deadline)
        beat.cancel()

    run(body())


def test_whatever_happens_to_a_bystander_is_a_violation() -> None:
    tally = Tally()
    chronicle = Chronicle(tally, frozenset({"one"}))
    events = [
        DeathTold(plugin="one", report=report("one")),
        StateChanged(plugin="one", old=State.READY, new=State.BACKOFF),
        HealthChanged(plugin="one", healthy=False, reason="silence"),
    ]
    for event in events:
        chronicle.hear(event)
    assert len(tally.violations) == 3
    chronicle.hear(EventsLost(plugin="one", count=7))
    assert tally.violations[-1] == "the events: 7 were lost"
    chronicle.is_closing = True
    for event in events:
        chronicle.hear(event)
    assert len(tally.violations) == 4


def test_death_of_a_victim_is_a_violation_when_it_has_no_story() -> None:
    tally = Tally()
    chronicle = Chronicle(tally, frozenset({"one"}))
    chronicle.hear(DeathTold(plugin="two", report=report("two")))
    assert tally.violations == []
    chronicle.hear(DeathTold(plugin="two", report=report("two", next="")))
    chronicle.hear(DeathTold(plugin="two", report=report("two", how="")))
    assert len(tally.violations) == 2
    assert len(chronicle.deaths["two"]) == 3


def test_deaths_are_counted_without_their_figures() -> None:
    assert in_words(report("x", how="silent for 3.1 s at 0x7f")) == "silent for N s at N"


LIMITED, FREE = Part("limited", True, keys={"limits": {}}), Part("free", True)


def test_deck_is_dealt_to_its_end_once_and_then_while_there_is_time() -> None:
    is_ended = [False]
    deck = Deck(random.Random("a"), lambda: is_ended[0])
    first = [deck.draw(LIMITED) for _ in FAULTS]
    assert first == list(FAULTS)
    was_dealt = deck.is_dealt
    assert set(deck.missing) == {fault.name for fault in FAULTS}
    second = [deck.draw(LIMITED) for _ in FAULTS]
    assert (was_dealt, deck.is_dealt) == (False, True)
    assert second != first
    assert {fault.name for fault in second if fault} == set(deck.missing)
    is_ended[0] = True
    assert deck.draw(LIMITED) is None
    short = Deck(random.Random("a"), lambda: True)
    for _ in FAULTS:
        fault = short.draw(LIMITED)
        assert fault is not None
        short.done(fault)
    assert short.draw(LIMITED) is None
    assert short.missing == []


def test_faults_that_meet_limits_are_kept_for_plugins_that_have_some() -> None:
    is_ended = [False]
    deck = Deck(random.Random("a"), lambda: is_ended[0])
    drawn = [deck.draw(FREE) for _ in range(2 * len(FAULTS))]
    assert all(fault and not fault.meets_limit for fault in drawn)
    assert not deck.is_dealt
    is_ended[0] = True
    assert deck.draw(FREE) is None
    rest = [deck.draw(LIMITED) for _ in range(2)]
    assert all(fault and fault.meets_limit for fault in rest)
    assert deck.draw(LIMITED) is None


def test_least_figures_of_two_parts_tell_of_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    size = [0]
    monkeypatch.setattr("tests.chaos.gauge._resident", lambda: size[0])

    def grown(*figures: tuple[float, int]) -> bool:
        growth = Growth()
        for share, megabytes in figures:
            size[0] = megabytes * 1_000_000
            growth.note(share)
        assert growth.describe()
        return not growth.is_flat

    assert not grown((0.1, 10), (0.9, 1000))  # never warm
    assert not grown((0.1, 10), (0.3, 100), (0.5, 900), (0.9, 500), (1.1, 115))
    assert grown((0.1, 10), (0.3, 100), (0.35, 500), (0.9, 500), (1.1, 125))


@pytest.mark.parametrize("number", [4, 5, 8, 20])
def test_half_of_the_plugins_are_victims(number: int) -> None:
    parts = cast(number)
    assert len({part.id for part in parts}) == number
    victims = [part for part in parts if part.is_victim]
    assert len(victims) == number // 2
    assert {part.is_limited for part in victims} == {True, False}


def test_what_is_left_over_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = f"TMPDIR={tmp_path}"
    was = before()
    assert leftovers(was, mark, [tmp_path]) == []
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="busy")
    thread.start()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    script = "import time; time.sleep(60)"
    with (
        open(tmp_path / "forgotten", "w", encoding="utf-8"),
        subprocess.Popen([sys.executable, "-S", "-c", script], env=environment) as child,
    ):
        try:
            monkeypatch.setattr("tests.chaos.leftover._SETTLING_S", 0.3)
            found = "\n".join(leftovers(was, mark, [tmp_path]))
        finally:
            child.kill()
            over.set()
            thread.join()
    for words in (f"process {child.pid}", "a child process", "thread busy", "1 descriptors of", "file "):
        assert words in found
