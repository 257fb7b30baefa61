"""What follows from a failure: a pause that grows, a fresh start after a healthy time, giving up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.death import DeathReport, Phase
from plugin_host.exitstatus import ExitStatus
from plugin_host.manifest import Restart
from plugin_host.restart import HEALTHY_S, Decision, RestartLedger

QUIET = DeathReport(plugin="p", phase=Phase.IDLE, how="exited", status=ExitStatus(code=0, signal=None))
DEATH = DeathReport(plugin="p", phase=Phase.CALL, how="killed", status=ExitStatus(code=None, signal=11))


def longest(low: float, high: float) -> float:
    return high


def failed(book: RestartLedger, now: float, ready_for: float = 0.0) -> Decision:
    """A failure as its supervisor makes it known."""
    decision = book.ended(DEATH, now, ready_for=ready_for)
    book.tell(DEATH)
    return decision


def ledger(policy: Restart | None = None) -> RestartLedger:
    return RestartLedger(policy or Restart(), draw=longest)


def test_pause_doubles_from_its_first_bound_to_its_last() -> None:
    book = ledger(Restart(max_failures=100))
    pauses = [book.ended(DEATH, now, ready_for=1.0).delay for now in range(9)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_pause_is_drawn_between_nothing_and_its_bound() -> None:
    drawn: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        drawn.append((low, high))
        return 0.125

    book = RestartLedger(Restart(), draw=draw)
    decision = book.ended(DEATH, 0.0, ready_for=1.0)
    assert decision == Decision(restart=True, delay=0.125, words="It is started again in 0.1 s.")
    assert drawn == [(0.0, 0.5)]


def test_start_for_which_something_lacked_is_tried_again_until_it_comes_and_does_not_count() -> None:
    drawn: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    book = RestartLedger(Restart(max_failures=2), draw=draw)
    failed(book, 0.0)
    lack = DeathReport(plugin="p", phase=Phase.SPAWN, how="no process left")
    for now in range(1, 9):
        decision = book.ended(lack, now, ready_for=0.0, is_scarce=True)
        book.tell(lack)
        assert (decision.restart, decision.gave_up) == (True, False)
    assert drawn[1:] == [(0.5, 1), (1, 2), (2, 4), (4, 8), (8, 16), (15, 30), (15, 30), (15, 30)]
    assert list(book.stories) == [DEATH]
    assert failed(book, 10.0).gave_up  # and what did count still does
    assert list(book.stories) == [DEATH, DEATH]


def test_start_that_something_lacked_for_is_left_where_nothing_is_restarted() -> None:
    lack = DeathReport(plugin="p", phase=Phase.SPAWN, how="no process left")
    decision = ledger(Restart(policy="never")).ended(lack, 0.0, ready_for=0.0, is_scarce=True)
    assert (decision.restart, decision.gave_up) == (False, False)


def test_minute_of_health_makes_the_pause_short_again() -> None:
    book = ledger()
    assert [failed(book, now).delay for now in (0, 1)] == [0.5, 1]
    assert book.ended(DEATH, 100, ready_for=HEALTHY_S - 0.1).delay == 2
    assert book.ended(DEATH, 300, ready_for=HEALTHY_S).delay == 0.5


def test_fifth_failure_in_three_minutes_is_the_last() -> None:
    book = ledger()
    decisions = [failed(book, now) for now in (0, 10, 20, 30, 179)]
    assert [one.restart for one in decisions] == [True, True, True, True, False]
    assert decisions[-1].gave_up
    assert len(book.stories) == 5


def test_failures_that_are_long_ago_do_not_count() -> None:
    book = ledger()
    decisions = [failed(book, now) for now in (0, 10, 20, 30, 180)]
    assert all(one.restart for one in decisions)
    assert len(book.stories) == 4


def test_start_by_hand_forgives() -> None:
    book = ledger(Restart(max_failures=2))
    failed(book, 0)
    book.forgive()
    assert book.stories == ()
    assert failed(book, 1) == Decision(restart=True, delay=0.5, words="It is started again in 0.5 s.")


@pytest.mark.parametrize(
    ("policy", "report", "restart"),
    [
        ("never", DEATH, False),
        ("never", QUIET, False),
        ("on-failure", DEATH, True),
        ("on-failure", QUIET, False),
        ("always", DEATH, True),
        ("always", QUIET, True),
    ],
)
def test_policy_says_what_is_started_again(policy: str, report: DeathReport, restart: bool) -> None:
    book = ledger(Restart(policy=policy))  # type: ignore[arg-type]
    assert book.ended(report, 0.0, ready_for=1.0).restart is restart
    assert book.restarts == int(restart)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 200)), max_size=40),
    st.integers(1, 6),
    st.floats(0.1, 5),
    st.floats(5, 60),
)
def test_pauses_are_bounded_and_giving_up_is_by_count(
    steps: list[tuple[float, float]], most: int, first: float, last: float
) -> None:
    book = RestartLedger(Restart(max_failures=most, backoff_initial_s=first, backoff_max_s=last))
    now = 0.0
    for gap, ready_for in steps:
        now += gap
        decision = failed(book, now, ready_for)
        assert 0 <= decision.delay <= last
        assert decision.gave_up is (len(book.stories) >= most)
        assert decision.restart is not decision.gave_up


def test_quiet_end_is_no_failure_and_an_end_in_a_call_is() -> None:
    assert not QUIET.is_failure
    busy = DeathReport(plugin="p", phase=Phase.CALL, how="exited", status=ExitStatus(code=0, signal=None))
    assert busy.is_failure
    lost = DeathReport(plugin="p", phase=Phase.IDLE, how="gone", status=ExitStatus.lost())
    assert lost.is_failure
    assert DeathReport(plugin="p", phase=Phase.IDLE, how="it closed its connection").is_failure


@pytest.mark.parametrize(
    ("policy", "report", "words"),
    [
        ("never", DEATH, "It is not started again: its restart policy is never."),
        ("never", QUIET, "It ended by itself and is not started again."),
        ("on-failure", QUIET, "It ended by itself and is not started again."),
        ("always", QUIET, "It is started again in 0.5 s."),
    ],
)
def test_decision_is_said_in_words(policy: str, report: DeathReport, words: str) -> None:
    book = ledger(Restart(policy=policy))  # type: ignore[arg-type]
    assert book.ended(report, 0.0, ready_for=1.0).words == words


def test_giving_up_tells_the_story_of_every_failure_that_counts() -> None:
    book = ledger(Restart(max_failures=2, window_s=10))
    failed(book, 0)
    failed(book, 20)
    assert failed(book, 21).words == "It failed 2 times within 10 s and is not started again."
    error = book.crash_loop("demo")
    assert error.reports == (DEATH, DEATH)
    first, *rest = str(error).splitlines()
    assert first == "plugin `demo` failed 2 times within 10 s and is not started again:"
    assert [line.strip() for line in rest] == [DEATH.story()] * 2
