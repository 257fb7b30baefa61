"""Which calls go together, and what an answer to many of them says of each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from plugin_host import CallFailed
from plugin_host.bundle import CALLS, Pace, Portion, outcomes

PLUGIN: Any = SimpleNamespace(id="demo")


def told(answer: Any, count: int = 3) -> list[Any]:
    return outcomes(PLUGIN, "work", answer, count, lambda error: error)


def test_results_and_failures_come_in_their_places() -> None:
    error = CallFailed("no", name="command.handler_failed").to_map()
    status = {"status": 4, "status_message": "odd", "result": {"a": 1}}
    first, second, third = told({"results": [1, None, None], "failures": [[1, error], [2, status]]})
    assert first == 1
    assert isinstance(second, CallFailed)
    assert second.name == "command.handler_failed"
    assert (third.code, third.data, str(third)) == (4, {"a": 1}, "demo work: odd")


def test_calls_that_were_not_run_have_no_outcome() -> None:
    assert told({"results": [], "failures": []}) == []
    assert told({"results": [1], "failures": []}) == [1]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"results": [1, 2, 3, 4], "failures": []},
        {"results": {}, "failures": []},
        {"results": [1], "failures": [[1, {}]]},
        {"results": [1], "failures": [[-1, {}]]},
        {"results": [1], "failures": [["0", {}]]},
        {"results": [1], "failures": [0]},
        {"results": [1], "failures": [[0, 7]]},
        {"results": [1], "failures": 7},
    ],
)
def test_answer_that_is_none_is_said_to_be_foreign(answer: Any) -> None:
    with pytest.raises(CallFailed, match=r"^answered") as caught:
        told(answer)
    assert caught.value.name == "rpc.foreign"


def test_calls_go_singly_for_a_while_after_none_was_run() -> None:
    pace = Pace()
    waits = []
    for _ in range(9):
        assert pace.size() == CALLS
        pace.note_answer(0)
        pace.note_answer(0)  # that was sent at the same time
        singles = 0
        while pace.size() == 1:
            pace.note_single()
            singles += 1
        waits.append(singles)
    assert waits == [32, 64, 128, 256, 512, 1024, 2048, 4096, 4096]
    pace.note_answer(1)
    pace.note_answer(0)
    pace.note_single()
    assert pace.size() == 1
    for _ in range(31):
        pace.note_single()
    assert pace.size() == CALLS


def test_half_of_what_waits_goes_together_and_a_moment_with_few_counts_little() -> None:
    portion = Portion(2)
    assert portion.most == 32
    portion.note_sent(12, 1)
    assert portion.most == 32
    for _ in range(52):
        portion.note_sent(12, 1)
    assert portion.most == 6
    portion.note_sent(6, 1)
    assert portion.most == 6
    portion.note_sent(20, 1)
    assert portion.most == 10
    portion.note_sent(1000, 1)
    assert portion.most == 32
    for _ in range(1000):
        portion.note_sent(1, 1)
    assert portion.most == 4


def test_on_one_processor_as_many_go_together_as_can() -> None:
    portion = Portion(1)
    for waiting in (1, 12, 1000):
        portion.note_sent(waiting, 1)
        assert portion.most == CALLS


def test_where_others_are_busy_as_many_go_together_as_can() -> None:
    portion = Portion(2)
    for _ in range(60):
        portion.note_sent(12, 2)
        assert portion.most == CALLS
    portion.note_sent(12, 1)
    assert portion.most == 6
