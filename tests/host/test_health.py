"""The health of a plugin by the test's own clock: when it is asked, what counts, what is told."""

from __future__ import annotations

import itertools

import pytest

from plugin_host.health import MOVES, Condition, HealthMonitor, HealthVerdict, Sign
from plugin_host.manifest import Health
from plugin_host.vitals import Vitals
from tests.host.monitored import POLICY, answer, ask_again, asking, miss, peaceful_looks

WELL, LATE, STALLED, UNRESPONSIVE = Condition
BLOCKED, FREE = Vitals(loop_s=20.0), Vitals(loop_s=0.0)


# The table.


def test_every_condition_has_a_move_for_every_sign() -> None:
    assert set(MOVES) == set(itertools.product(Condition, Sign))


@pytest.mark.parametrize("condition", Condition)
@pytest.mark.parametrize(
    ("sign", "becomes"),
    [(Sign.ANSWER, WELL), (Sign.ENOUGH_STALLS, STALLED), (Sign.ENOUGH, UNRESPONSIVE)],
)
def test_what_is_enough_leads_to_the_same_from_anywhere(
    condition: Condition, sign: Sign, becomes: Condition
) -> None:
    assert MOVES[condition, sign] is becomes


def test_a_miss_never_makes_better() -> None:
    order = list(Condition)
    for condition in Condition:
        assert order.index(MOVES[condition, Sign.MISS]) >= order.index(condition)


@pytest.mark.parametrize(
    ("condition", "becomes"), [(WELL, LATE), (LATE, LATE), (STALLED, STALLED), (UNRESPONSIVE, LATE)]
)
def test_an_answer_with_calls_that_wait_ends_silence_and_nothing_else(
    condition: Condition, becomes: Condition
) -> None:
    assert MOVES[condition, Sign.STALL] is becomes


# When it is asked.


@pytest.mark.parametrize("now", [0.0, 0.1, 9.999, 10.0, 12.5, 1e6 + 3])
@pytest.mark.parametrize("interval", [0.05, 1, 7, 10])
def test_looks_are_at_multiples_of_the_interval_and_never_now(now: float, interval: float) -> None:
    due = HealthMonitor(Health(interval_s=interval), now).due
    assert now < due <= now + interval * 1.000001
    assert due / interval == pytest.approx(round(due / interval))


def test_plugins_of_one_interval_are_due_together_whenever_they_began() -> None:
    assert {HealthMonitor(POLICY, now).due for now in (20.0, 21.3, 25.0, 29.9)} == {30.0}


def test_looking_at_one_look_sets_the_next_one_an_interval_later() -> None:
    monitor = HealthMonitor(POLICY, 5.0)
    for due in (10.0, 20.0, 30.0):
        assert monitor.due == due
        monitor.look(due, heard=True, stuck=False)


@pytest.mark.parametrize(
    ("heard", "stuck", "asks"),
    [(True, False, False), (False, False, True), (False, True, True), (True, True, True)],
)
def test_it_is_asked_when_silent_or_when_a_call_does_not_end(heard: bool, stuck: bool, asks: bool) -> None:
    assert HealthMonitor(POLICY, 0.0).look(10.0, heard=heard, stuck=stuck) is asks


def test_one_that_is_not_well_is_asked_although_it_talks() -> None:
    monitor = asking()
    answer(monitor, BLOCKED)
    assert monitor.look(monitor.due, heard=True, stuck=False)
    assert monitor.condition is LATE


def test_one_that_is_idle_and_answers_is_asked_ever_more_rarely_up_to_every_sixth_look() -> None:
    monitor, spared = asking(), []
    for _ in range(5):
        answer(monitor)
        spared.append(peaceful_looks(monitor))
    assert spared == [1, 3, 5, 5, 5]


@pytest.mark.parametrize("seen", [{"used": True}, {"stuck": True}])
def test_one_that_is_used_or_owes_an_answer_is_asked_at_every_look(seen: dict[str, bool]) -> None:
    monitor = asking()
    for _ in range(5):
        answer(monitor)
        assert peaceful_looks(monitor, **seen) == 0


def test_use_ends_the_peace_at_once_and_for_the_looks_after_it() -> None:
    monitor = asking()
    for _ in range(4):
        answer(monitor)
        peaceful_looks(monitor)
    answer(monitor)
    assert monitor.look(monitor.due, heard=False, stuck=False, used=True)
    monitor.asked(monitor.due)
    answer(monitor)
    assert peaceful_looks(monitor) == 1


def test_one_that_talks_without_being_asked_is_asked_when_it_falls_silent() -> None:
    monitor = asking()
    for _ in range(4):
        answer(monitor)
        peaceful_looks(monitor)
    answer(monitor)
    assert not monitor.look(monitor.due, heard=True, stuck=False, used=False)
    assert peaceful_looks(monitor) == 0


def test_one_whose_loop_is_blocked_or_that_missed_an_answer_has_no_peace() -> None:
    monitor = asking()
    answer(monitor, BLOCKED)
    assert peaceful_looks(monitor) == 0
    answer(monitor, BLOCKED)
    assert peaceful_looks(monitor) == 0


def test_no_look_while_a_question_is_open() -> None:
    monitor = asking()
    dues = [(monitor.is_asking, monitor.due)]
    answer(monitor)
    dues.append((monitor.is_asking, monitor.due))
    assert dues == [(True, 103.0), (False, 110.0)]


# The reader's sign.


def test_answer_in_time_is_nothing_to_tell_of() -> None:
    monitor = asking()
    assert answer(monitor) is None
    assert monitor.condition is WELL


def test_as_many_misses_as_the_policy_says_make_it_unresponsive() -> None:
    monitor = asking()
    assert [miss(monitor) for _ in range(3)] == [None, None, UNRESPONSIVE]


def test_misses_come_after_the_timeout_and_then_each_interval() -> None:
    monitor = asking()
    dues = []
    for _ in range(4):
        dues.append(monitor.due)
        miss(monitor)
    assert dues == [103.0, 113.0, 123.0, 133.0]


@pytest.mark.parametrize("misses", [1, 2, 5])
def test_unresponsive_is_told_once(misses: int) -> None:
    monitor = asking(Health(misses=misses))
    told = [miss(monitor) for _ in range(misses + 3)]
    assert told == [None] * (misses - 1) + [UNRESPONSIVE] + [None] * 3


@pytest.mark.parametrize("misses", [0, 1, 2])
def test_late_answer_is_an_answer(misses: int) -> None:
    monitor = asking()
    for _ in range(misses):
        miss(monitor)
    assert monitor.condition is (LATE if misses else WELL)
    assert monitor.answered(monitor.due - 0.1, None) is None
    assert monitor.condition is WELL


def test_misses_are_counted_in_a_row() -> None:
    monitor = asking()
    for _ in range(5):
        assert [miss(monitor), miss(monitor)] == [None, None]
        answer(monitor)
        ask_again(monitor)
    assert monitor.condition is WELL
    assert monitor.missed == 10  # of all that there were


def test_answer_after_all_is_recovery_and_is_told_once() -> None:
    monitor = asking()
    for _ in range(4):
        miss(monitor)
    assert answer(monitor) is WELL
    ask_again(monitor)
    assert answer(monitor) is None


def test_verdict_says_for_how_long_it_was_silent() -> None:
    monitor = asking()
    for _ in range(3):
        now = monitor.due
        miss(monitor)
    verdict = monitor.verdict(now)
    assert verdict == HealthVerdict("silent", 23.0, 3, None)
    assert verdict.describe() == "it has not answered for 23.0 s"


# The time in which the host was away.


@pytest.mark.parametrize("away", [1.6, 60, 1e6])
def test_time_in_which_the_host_was_away_is_no_miss(away: float) -> None:
    monitor = asking()
    for _ in range(10):
        now = monitor.due + away
        assert monitor.expire(now) is None
        assert monitor.condition is WELL
        assert monitor.due == now + 3  # as if it had been asked now


@pytest.mark.parametrize("late", [0.0, 0.001, 1.4])
def test_a_timer_that_is_a_little_late_counts(late: float) -> None:
    monitor = asking()
    for _ in range(3):
        told = monitor.expire(monitor.due + late)
    assert told is UNRESPONSIVE


def test_a_look_after_a_long_absence_makes_up_for_nothing() -> None:
    monitor = HealthMonitor(POLICY, 0.0)
    assert monitor.look(1003.0, heard=True, stuck=False) is False
    assert monitor.due == 1010.0


# The event loop's sign.


def test_blocked_loop_in_as_many_answers_in_a_row_is_unresponsive() -> None:
    monitor = asking()
    told = []
    for _ in range(4):
        told.append(answer(monitor, BLOCKED))
        ask_again(monitor)
    assert told == [None, None, UNRESPONSIVE, None]


def test_loop_that_came_round_in_between_starts_the_count_anew() -> None:
    monitor = asking()
    for vitals in (BLOCKED, BLOCKED, FREE, BLOCKED, BLOCKED):
        assert answer(monitor, vitals) is None
        ask_again(monitor)
    assert monitor.condition is LATE


@pytest.mark.parametrize("lag", [None, 0.0, 2.999])
def test_loop_that_is_slower_than_none_but_within_the_timeout_is_well(lag: float | None) -> None:
    monitor = asking(Health(misses=1))
    assert answer(monitor, Vitals(loop_s=lag)) is None
    assert monitor.condition is WELL


def test_reader_that_answers_is_not_enough_to_recover_while_the_loop_is_blocked() -> None:
    monitor = asking()
    for _ in range(3):
        miss(monitor)
    assert answer(monitor, BLOCKED) is None
    assert monitor.condition is UNRESPONSIVE
    ask_again(monitor)
    assert answer(monitor, FREE) is WELL


def test_verdict_of_a_blocked_loop_names_the_call_that_runs_longest() -> None:
    monitor = asking(Health(misses=1))
    vitals = Vitals(running=2, oldest="crunch", oldest_s=12.34, loop_s=11.0)
    answer(monitor, vitals)
    verdict = monitor.verdict(0.0)
    assert verdict == HealthVerdict("loop", 11.0, 1, vitals)
    assert verdict.describe() == (
        "its event loop has not come round for 11.0 s; its oldest call is `crunch`, for 12.3 s"
    )


def test_long_call_alone_is_no_fault() -> None:
    monitor = asking(Health(misses=1))
    assert answer(monitor, Vitals(running=1, oldest="crunch", oldest_s=1e6)) is None
    assert monitor.vitals == Vitals(running=1, oldest="crunch", oldest_s=1e6)


def test_the_last_vitals_stay_while_nothing_is_answered() -> None:
    monitor = asking()
    vitals = Vitals(running=1)
    answer(monitor, vitals)
    ask_again(monitor)
    for _ in range(3):
        now = monitor.due
        miss(monitor)
    assert monitor.verdict(now).vitals is vitals
