"""How many records of a flood are heard, and that every other one is told of."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.flood import BURST, RATE, WARNING, Flood
from plugin_host.floodgate import Floodgate
from tests.run import Run
from tests.wait import WaitUntil

INFO = logging.INFO


def admitted(flood: Flood, now: float, level: int, count: int) -> int:
    return sum(flood.admit(now, level) for _ in range(count))


def test_burst_is_admitted_and_then_so_many_a_second() -> None:
    flood = Flood(0.0)
    assert admitted(flood, 0.0, INFO, 2 * BURST) == BURST
    assert admitted(flood, 1.0, INFO, 2 * BURST) == RATE
    assert admitted(flood, 1.5, INFO, 2 * BURST) == RATE // 2
    assert flood.total == 6 * BURST - BURST - RATE - RATE // 2


def test_bucket_holds_no_more_than_a_burst() -> None:
    flood = Flood(0.0, burst=10, rate=5)
    assert flood.room(1000.0) == 10
    assert admitted(flood, 1000.0, INFO, 30) == 10
    assert flood.room(1001.0) == 5


def test_silence_saves_up_one_burst_and_no_more() -> None:
    flood = Flood(0.0, burst=10, rate=5)
    assert admitted(flood, 1000.0, INFO, 10) == 10
    assert admitted(flood, 1000.0, INFO, 10) == 0
    assert admitted(flood, 1001.0, INFO, 10) == 5


def test_warnings_have_a_reserve() -> None:
    flood = Flood(0.0, burst=10, rate=1, reserve=3, reserve_rate=0.5)
    assert admitted(flood, 0.0, INFO, 100) == 10
    assert admitted(flood, 0.0, WARNING - 1, 5) == 0
    assert admitted(flood, 0.0, logging.ERROR, 5) == 3
    assert admitted(flood, 2.0, logging.CRITICAL, 5) == 2 + 1


def test_warnings_leave_the_reserve_alone_while_there_is_room() -> None:
    flood = Flood(0.0, burst=10, rate=1, reserve=3)
    assert admitted(flood, 0.0, WARNING, 10) == 10
    assert admitted(flood, 0.0, WARNING, 10) == 3


def test_report_tells_every_count_once() -> None:
    flood = Flood(0.0, burst=1, rate=100)
    assert flood.report(0.0) is None
    admitted(flood, 0.0, INFO, 513)
    text = "512 log records were dropped in the last 1.2 s: it logs faster than 100 a second"
    assert flood.report(1.2) == text
    assert flood.report(1.3) is None
    flood.drop(5.0, 1)
    assert flood.report(5.0) == (
        "1 log record was dropped in the last 0.1 s: it logs faster than 100 a second"
    )
    assert flood.total == 513


def test_clock_that_stands_still_gives_nothing() -> None:
    flood = Flood(5.0, burst=1, rate=100)
    assert admitted(flood, 5.0, INFO, 1) == 1
    assert admitted(flood, 4.0, INFO, 9) == 0


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 3), st.sampled_from([10, 20, 30, 40]), st.integers(0, 40)), max_size=30
    )
)
def test_no_record_is_lost_to_the_count(steps: list[tuple[float, int, int]]) -> None:
    flood, now, heard, put, told = Flood(0.0, burst=20, rate=7, reserve=4, reserve_rate=2), 0.0, 0, 0, 0
    for pause, level, count in steps:
        now += pause
        heard += admitted(flood, now, level, count)
        put += count
        assert heard <= 20 + 4 + now * 9 + 1
        if pause > 2 and (text := flood.report(now)):
            told += int(text.split()[0])
    told += int((flood.report(now) or "0").split()[0])
    assert heard + flood.total == put
    assert told == flood.total


# The gate: when it is told.


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_host.floodgate.REPORT_S", 0.02)


def gate(said: list[str], **options: float) -> Floodgate:
    loop = asyncio.get_running_loop()
    return Floodgate(said.append, Flood(loop.time(), burst=1, rate=0.001, reserve=0, **options))


def has_timer(made: Floodgate) -> bool:
    return made._timer is not None


@pytest.mark.usefixtures("soon")
def test_flood_is_told_of_while_it_lasts_and_after_it(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        said: list[str] = []
        made = gate(said)
        assert made.admit()
        assert not made.admit(logging.ERROR)
        assert said == []
        await wait_until.aio(lambda: len(said) == 1)
        made.drop(5)
        made.drop(6)
        await wait_until.aio(lambda: len(said) == 2)
        assert [text.split()[0] for text in said] == ["1", "11"]
        assert (made.dropped, made.room()) == (12, 0)

    run(body())


@pytest.mark.usefixtures("soon")
def test_gate_that_drops_nothing_has_no_timer(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        said: list[str] = []
        made = gate(said)
        assert made.admit()
        assert not has_timer(made)
        made.drop(1)
        assert has_timer(made)
        await wait_until.aio(lambda: said != [])
        assert not has_timer(made)

    run(body())


def test_rest_is_told_at_the_plugins_end(run: Run) -> None:
    async def body() -> None:
        said: list[str] = []
        made = gate(said)
        made.drop(3)
        made.flush()
        made.flush()
        assert len(said) == 1
        assert said[0].startswith("3 log records were dropped")
        assert not has_timer(made)

    run(body())


def test_gate_has_a_measure_of_its_own(run: Run) -> None:
    async def body() -> None:
        said: list[str] = []
        made = Floodgate(said.append)
        assert made.room() == BURST
        assert sum(made.admit() for _ in range(2 * BURST)) >= BURST
        made.flush()

    run(body())
