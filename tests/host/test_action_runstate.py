"""The end of an action: once, and after all of its output."""

from __future__ import annotations

import pytest

from plugin_host.action.runstate import ENDED, LOST, REPORTED, RUNNING, TRANSITIONS, RunState
from plugin_host.errors import CallFailed


def test_report_counts_when_all_output_is_there() -> None:
    state = RunState()
    state.arrive("stdout", 5)
    assert state.report({"stdout": 7, "stderr": 1})
    assert state.state == REPORTED
    state.arrive("stdout", 2)
    assert not state.is_over
    state.arrive("stderr", 1)
    assert state.state == ENDED


def test_report_of_no_output_counts_at_once() -> None:
    state = RunState()
    assert state.report({})
    assert state.state == ENDED


def test_second_report_changes_nothing() -> None:
    state = RunState()
    state.report({})
    assert not state.report({"stdout": 9})
    assert state.state == ENDED


@pytest.mark.parametrize("first", ["end", "report"])
def test_missing_output_is_an_error_and_no_wait(first: str) -> None:
    state = RunState()
    state.arrive("stdout", 3)
    if first == "end":
        state.end("stdout")
        with pytest.raises(CallFailed, match="4 bytes of stdout were reported, and 3 have arrived"):
            state.report({"stdout": 4})
    else:
        state.report({"stdout": 4})
        with pytest.raises(CallFailed, match="3 have arrived"):
            state.end("stdout")


def test_too_much_output_is_an_error() -> None:
    state = RunState()
    state.report({"stdout": 4, "stderr": 1})
    with pytest.raises(CallFailed, match="and 5 have arrived"):
        state.arrive("stdout", 5)


def test_what_has_ended_cannot_be_lost() -> None:
    state = RunState()
    state.report({})
    assert not state.lose()
    other = RunState()
    other.report({"stdout": 1})
    assert other.lose()
    assert other.state == LOST
    assert not other.lose()
    assert not other.report({})


def test_table_names_only_states_that_it_has() -> None:
    assert {after for moves in TRANSITIONS.values() for after in moves.values()} <= TRANSITIONS.keys()
    assert RUNNING in TRANSITIONS
