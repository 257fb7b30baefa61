"""The life of a task: one result, after the whole log, and kills that are not forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.errors import InvalidPayload, ResourceConflict
from plugin_host.task.state import (
    ENDED,
    LOST,
    OFFERED,
    PENDING,
    REPORTED,
    RUNNING,
    TRANSITIONS,
    Outcome,
    TaskState,
)

WELL = Outcome(True, code=0)
BADLY = Outcome(False, code=1)


def running() -> TaskState:
    task = TaskState()
    task.offer()
    task.start()
    return task


def test_it_is_offered_run_and_reported() -> None:
    task = TaskState()
    assert task.state == PENDING
    task.offer()
    assert task.state == OFFERED
    assert not task.start()
    assert task.state == RUNNING
    task.report(WELL, 0)
    assert (task.state, task.outcome, task.is_over) == (ENDED, WELL, True)


def test_result_counts_once_the_whole_log_has_arrived() -> None:
    task = running()
    task.log(3)
    task.report(WELL, 10)
    assert (task.state, task.outcome) == (REPORTED, None)
    task.log(6)
    assert task.outcome is None
    task.log(1)
    assert task.outcome == WELL


def test_report_of_what_never_started_counts() -> None:
    task = TaskState()
    task.offer()
    task.report(Outcome(False, reason="no such program"), 0)
    assert task.outcome == Outcome(False, reason="no such program")


@pytest.mark.parametrize("total", [0, 5])
def test_first_result_wins_and_is_repeated_without_harm(total: int) -> None:
    task = running()
    task.report(WELL, total)
    task.report(Outcome(True, code=0, reason="in other words"), total)
    for other in (BADLY, Outcome(True, code=3), Outcome(False, signal="SIGKILL")):
        with pytest.raises(ResourceConflict, match="ended already, and otherwise"):
            task.report(other, total)
    task.log(total)
    assert task.outcome == WELL


def test_task_is_given_to_one_plugin_and_started_once() -> None:
    task = TaskState()
    with pytest.raises(ResourceConflict):
        task.start()
    with pytest.raises(ResourceConflict):
        task.report(WELL, 0)
    task.offer()
    with pytest.raises(ResourceConflict):
        task.offer()
    task.start()
    with pytest.raises(ResourceConflict):
        task.start()
    assert task.state == RUNNING


def test_log_that_does_not_fit_the_report_is_refused() -> None:
    task = running()
    task.log(5)
    with pytest.raises(InvalidPayload, match="5 have arrived"):
        task.report(WELL, 4)
    assert task.state == RUNNING
    task.report(WELL, 7)
    with pytest.raises(InvalidPayload, match="behind the 7 bytes"):
        task.log(3)
    assert task.outcome is None


def test_kill_of_what_no_plugin_has_ends_it() -> None:
    task = TaskState()
    assert not task.kill()
    assert task.outcome is not None
    assert (task.outcome.success, task.outcome.reason) == (False, "it was killed before a plugin took it")
    with pytest.raises(ResourceConflict):
        task.offer()


def test_kill_before_the_start_is_remembered() -> None:
    task = TaskState()
    task.offer()
    assert not task.kill()
    assert task.start()


def test_kill_of_what_runs_is_to_be_done_and_repeated_at_will() -> None:
    task = running()
    assert task.kill()
    assert task.kill()
    task.report(Outcome(False, signal="SIGTERM"), 0)
    assert not task.kill()
    assert task.outcome == Outcome(False, signal="SIGTERM")


def test_death_of_the_plugin_loses_a_result_whose_log_is_not_whole() -> None:
    task = running()
    task.report(WELL, 5)
    assert task.lose()
    assert (task.state, task.outcome) == (LOST, None)
    with pytest.raises(ResourceConflict):
        task.report(WELL, 5)


def test_death_after_the_end_changes_nothing() -> None:
    task = running()
    task.report(WELL, 0)
    assert not task.lose()
    assert task.outcome == WELL


def test_every_state_is_reached_and_every_unfinished_one_can_be_lost() -> None:
    reached = {following for row in TRANSITIONS.values() for following in row.values()}
    assert reached | {PENDING} == set(TRANSITIONS)
    assert all("lose" in row for row in TRANSITIONS.values() if row)


steps = st.lists(st.sampled_from(["offer", "start", "log", "well", "badly", "kill", "lose"]), max_size=20)


@given(steps)
def test_what_is_over_never_changes(names: list[str]) -> None:
    task = TaskState()
    over = None
    for name in names:
        try:
            if name in ("well", "badly"):
                task.report(WELL if name == "well" else BADLY, 2)
            elif name == "log":
                task.log(1)
            else:
                getattr(task, name)()
        except (ResourceConflict, InvalidPayload):
            pass
        now = (task.state, task.outcome)
        assert over is None or now == over
        over = now if task.is_over else None
