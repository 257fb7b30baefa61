"""A plugin that answers while its calls do not go on, by the test's own clock."""

from __future__ import annotations

import pytest

from plugin_host.health import TOLD, Cause, Condition, HealthMonitor, HealthVerdict
from plugin_host.manifest import Health
from plugin_host.vitals import Vitals
from tests.host.monitored import answer, ask_again, asking, miss, peaceful_looks

WELL, LATE, STALLED, UNRESPONSIVE = Condition
IDLE = Vitals(running=0, waiting=0, finished=9)
BUSY = Vitals(running=2, waiting=0, finished=9, oldest="crunch", oldest_s=90.0)


def waiting(finished: int, calls: int = 3, loop_s: float | None = None) -> Vitals:
    """All workers are taken, and so many calls wait for one."""
    return Vitals(2, calls, finished, "crunch", 90.0, loop_s)


def answers(monitor: HealthMonitor, *every: Vitals | None) -> list[Condition | None]:
    """What is told at each of these answers, of which one comes in each interval."""
    told = []
    for vitals in every:
        told.append(answer(monitor, vitals))
        ask_again(monitor)
    return told


@pytest.mark.parametrize("misses", [1, 2, 3])
def test_calls_that_wait_while_none_ends_are_a_stall_after_as_many_answers(misses: int) -> None:
    monitor = asking(Health(misses=misses))
    told = answers(monitor, *[waiting(5)] * (misses + 3))
    # The first is the one that the others are held against.
    assert told == [None, *[None] * (misses - 1), STALLED, None, None]
    assert monitor.missed == misses + 2


@pytest.mark.parametrize(
    "vitals",
    [
        IDLE,
        BUSY,
        None,
        Vitals(),
        Vitals(running=2, waiting=3),
        Vitals(running=2, finished=9),
        Vitals(running=2, waiting=0, finished=9),
    ],
    ids=repr,
)
def test_without_calls_that_wait_and_a_count_of_those_that_ended_there_is_no_stall(
    vitals: Vitals | None,
) -> None:
    monitor = asking(Health(misses=1))
    assert answers(monitor, *[vitals] * 5) == [None] * 5
    assert (monitor.condition, monitor.missed) == (WELL, 0)


@pytest.mark.parametrize("relief", [waiting(6), waiting(6, calls=100), IDLE, BUSY, None], ids=repr)
def test_a_call_that_ends_or_none_that_waits_starts_the_count_anew(relief: Vitals | None) -> None:
    monitor = asking()
    assert answers(monitor, *[waiting(5)] * 3, relief, *[waiting(6)] * 2) == [None] * 6
    assert monitor.condition is not STALLED


@pytest.mark.parametrize("relief", [waiting(6), waiting(6, calls=100), IDLE, BUSY, None], ids=repr)
def test_a_call_that_ends_or_none_that_waits_is_recovery_at_once_and_told_once(
    relief: Vitals | None,
) -> None:
    monitor = asking()
    assert answers(monitor, *[waiting(5)] * 4, relief, relief)[3:] == [STALLED, WELL, None]


def test_more_calls_that_come_to_wait_are_no_progress() -> None:
    monitor = asking()
    told = answers(monitor, *(waiting(5, calls) for calls in (1, 9, 4, 2)))
    assert told == [None, None, None, STALLED]


def test_a_queue_that_never_empties_and_moves_is_well() -> None:
    monitor = asking(Health(misses=1))
    assert answers(monitor, *map(waiting, range(20))) == [None] * 20
    assert monitor.condition is WELL


def test_one_with_a_stall_behind_it_can_stall_again() -> None:
    monitor = asking(Health(misses=1))
    told = answers(monitor, waiting(5), waiting(5), waiting(6), waiting(6), waiting(6))
    assert told == [None, STALLED, WELL, STALLED, None]


def test_answers_that_follow_close_on_each_other_count_once_the_timeout_has_passed() -> None:
    policy = Health(interval_s=1, timeout_s=3, misses=1)
    monitor = asking(policy)
    told = [monitor.answered(at, waiting(5)) for at in (100.0, 101.0, 102.9, 103.0)]
    assert told == [None, None, None, STALLED]


def test_one_with_calls_that_wait_is_asked_at_every_look_although_it_talks() -> None:
    monitor = asking()
    for vitals, asks in [(waiting(5), True), (waiting(6), True), (BUSY, False), (waiting(6), True)]:
        answer(monitor, vitals)
        assert monitor.look(monitor.due, heard=True, stuck=False) is asks
        monitor.asked(monitor.due - 10)


def test_one_with_calls_that_wait_has_no_peace_and_one_without_has() -> None:
    monitor = asking()
    answer(monitor, waiting(5))
    assert peaceful_looks(monitor) == 0
    answer(monitor, IDLE)
    assert peaceful_looks(monitor) == 1


def test_verdict_of_a_stall_has_how_many_run_and_wait_and_since_when() -> None:
    monitor = asking()
    answers(monitor, *[waiting(5)] * 3)
    now = monitor.due - 3 + 0.1
    answer(monitor, waiting(5))
    verdict = monitor.verdict(now)
    assert (verdict.cause, verdict.misses, verdict.vitals) == ("stalled", 3, waiting(5))
    assert verdict.seconds == pytest.approx(30.0)
    assert not verdict.may_end
    assert verdict.describe() == (
        "none of its calls has ended for 30.0 s, with 2 running and 3 waiting; "
        "its oldest call is `crunch`, for 90.0 s"
    )


def test_verdict_of_a_stall_says_no_more_than_the_plugin_did() -> None:
    verdict = HealthVerdict("stalled", 30.0, 3, Vitals(waiting=1, finished=0))
    assert verdict.describe() == "none of its calls has ended for 30.0 s, with 1 waiting"
    assert HealthVerdict("stalled", 30.0, 3).describe() == "none of its calls has ended for 30.0 s"


@pytest.mark.parametrize(("cause", "may_end"), [("silent", True), ("loop", True), ("stalled", False)])
def test_one_that_answers_and_is_only_slow_may_not_be_ended(cause: Cause, may_end: bool) -> None:
    assert HealthVerdict(cause, 30.0, 3).may_end is may_end


# One sign beside another.


def test_silence_in_a_stall_is_told_too_and_may_end_it() -> None:
    monitor = asking()
    answers(monitor, *[waiting(5)] * 4)
    assert [miss(monitor), miss(monitor)] == [None, None]
    now = monitor.due
    assert miss(monitor) is UNRESPONSIVE
    assert monitor.verdict(now).cause == "silent"
    assert monitor.verdict(now).may_end


def test_one_that_answers_after_silence_and_still_stands_is_stalled() -> None:
    monitor = asking()
    answers(monitor, *[waiting(5)] * 3)
    assert [miss(monitor) for _ in range(3)][-1] is UNRESPONSIVE
    assert answer(monitor, waiting(5)) is STALLED
    assert monitor.verdict(monitor.due).cause == "stalled"


def test_one_that_answers_after_silence_has_recovered_though_its_calls_are_to_be_watched() -> None:
    monitor = asking()
    answer(monitor, waiting(5))
    ask_again(monitor)
    assert [miss(monitor) for _ in range(3)][-1] is UNRESPONSIVE
    assert answer(monitor, waiting(5)) is LATE
    assert LATE not in TOLD


def test_a_blocked_loop_goes_before_the_calls_that_wait_for_it() -> None:
    monitor = asking()
    told = [*answers(monitor, *[waiting(5, loop_s=20.0)] * 3), answer(monitor, waiting(5, loop_s=20.0))]
    assert told == [None, None, UNRESPONSIVE, None]
    assert monitor.verdict(0.0).cause == "loop"


def test_calls_that_still_wait_when_the_loop_comes_round_are_a_stall() -> None:
    monitor = asking()
    told = answers(monitor, *[waiting(5, loop_s=20.0)] * 4, waiting(5), IDLE)
    assert told[-2:] == [STALLED, WELL]


# Calls that wait, and a host that was away.


def test_time_in_which_the_host_was_away_is_no_part_of_a_stall() -> None:
    monitor = asking(Health(misses=1))
    answer(monitor, waiting(5))
    awake = monitor.due + 1000.0
    assert monitor.look(awake, heard=False, stuck=False)
    monitor.asked(awake)
    assert monitor.answered(awake + 0.1, waiting(5)) is STALLED
    assert monitor.verdict(awake + 0.1).seconds == pytest.approx(10.0)


def test_an_answer_that_waited_for_the_host_to_come_back_tells_of_no_longer_stall() -> None:
    policy = Health(interval_s=1, timeout_s=3, misses=1)
    monitor = asking(policy)
    monitor.answered(100.1, waiting(5))
    monitor.look(101.0, heard=False, stuck=False)
    monitor.asked(101.0)
    assert monitor.answered(2000.0, waiting(5)) is STALLED
    assert monitor.verdict(2000.0).seconds == pytest.approx(3.9)
