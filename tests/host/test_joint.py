"""Calls of one turn of the loop that share a request: who gets what, and what is sent."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from plugin_host.errors import CallFailed, PluginDied
from tests.jointlink import Link, add, joint_of, many, one, settled
from tests.run import Run


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_host.joint.processors", lambda: 2)


def test_calls_share_a_request_and_each_has_its_own_outcome(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", params) for params in ({"a": 1}, None, {"a": 3})]
        assert link.asked == []
        joint.flush()
        assert link.asked == [many({"a": 1}, {}, {"a": 3})]
        own = {"status": 3, "status_message": "no", "result": None}
        link.answers[0].set_result({"results": [1, None, 3], "failures": [[1, own]]})
        await settled()
        assert (calls[0].result(), calls[2].result()) == (1, 3)
        error = calls[1].exception()
        assert isinstance(error, CallFailed)
        assert (error.code, str(error)) == (3, "demo echo: no")

    run(body())


def test_one_call_goes_by_itself(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        call = add(joint, "echo", {"a": 1})
        joint.flush()
        assert link.asked == [one({"a": 1})]
        link.answers[0].set_result({"status": 0, "status_message": "", "result": 7})
        await settled()
        assert call.result() == 7

    run(body())


def test_thirty_two_are_sent_at_once_and_another_command_sends_what_is_there(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        for number in range(34):
            add(joint, "echo", {"a": number})
        assert [len(asked[1]["many"]) for asked in link.asked] == [32]
        add(joint, "other", {"a": 0})
        assert link.asked[1] == many({"a": 32}, {"a": 33})
        assert len(link.asked) == 2

    run(body())


def test_what_was_not_run_is_sent_again_singly_and_fewer_go_together_then(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(3)]
        joint.flush()
        link.answers[0].set_result({"results": [], "failures": []})
        await settled()
        assert link.asked[1:] == [one({"a": number}) for number in range(3)]
        assert not joint.takes("echo")
        link.answers[1].set_result({"status": 0, "status_message": "", "result": "x"})
        link.answers[2].set_exception(CallFailed("broken", name="handler.error"))
        link.answers[3].set_exception(PluginDied("demo died"))
        await settled()
        assert calls[0].result() == "x"
        assert str(calls[1].exception()) == "demo echo: broken"
        assert str(calls[2].exception()) == "demo died"

    run(body())


@pytest.mark.parametrize("error", [CallFailed("too large", name="rpc.too_large"), PluginDied("demo died")])
def test_error_of_the_request_is_that_of_every_call_and_none_runs_twice(run: Run, error: Exception) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(3)]
        joint.flush()
        link.answers[0].set_exception(error)
        await settled()
        ended = [call.exception() for call in calls]
        assert {type(one) for one in ended} == {type(error)}
        assert len(set(map(id, ended))) == 3
        assert len({str(one) for one in ended}) == 1
        assert len(link.asked) == 1

    run(body())


def test_calls_that_a_busy_plugin_refused_are_tried_singly(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(2)]
        joint.flush()
        link.answers[0].set_exception(CallFailed("too many", name="rpc.busy"))
        await settled()
        assert link.asked[1:] == [one({"a": 0}), one({"a": 1})]
        for answer in link.answers[1:]:
            answer.set_exception(CallFailed("too many", name="rpc.busy"))
        await settled()
        assert {call.exception().name for call in calls} == {"rpc.busy"}  # type: ignore[union-attr]

    run(body())


def test_call_that_cannot_be_sent_says_so(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(2)]
        link.refusal = lambda: CallFailed("too large", name="rpc.too_large")
        joint.flush()
        assert {str(call.exception()) for call in calls} == {"demo echo: too large"}

    run(body())


def test_answer_that_is_none_fails_every_call(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(2)]
        joint.flush()
        link.answers[0].set_result({"results": 7})
        await settled()
        assert {call.exception().name for call in calls} == {"rpc.foreign"}  # type: ignore[union-attr]
        expected = "demo echo: answered {'results': 7} to many calls"
        assert {str(call.exception()) for call in calls} == {expected}

    run(body())


def test_parameters_are_those_of_the_moment_of_the_call(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        params = {"a": 0}
        for number in range(2):
            params["a"] = number
            add(joint, "echo", params)
        joint.flush()
        assert link.asked == [many({"a": 0}, {"a": 1})]

    run(body())


def test_call_ends_with_whatever_kept_it_from_being_sent(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(2)]
        link.refusal = MemoryError
        joint.flush()
        assert [type(call.exception()) for call in calls] == [MemoryError, MemoryError]

    run(body())


def test_as_many_calls_are_counted_as_wait(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(3)]
        joint.flush()
        assert joint.count(0) == 3
        calls[0].cancel()
        assert joint.count(0) == 2
        assert joint.count(77) == 1  # of somebody else

    run(body())


def test_joint_is_busy_from_the_call_until_what_was_left_over_has_ended(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(2)]
        assert joint.is_busy()
        joint.flush()
        link.answers[0].set_result({"results": [0], "failures": []})
        assert joint.is_busy()
        await settled()
        assert joint.is_busy()
        link.answers[1].set_result({"status": 0, "status_message": "", "result": 1})
        assert await asyncio.gather(*calls) == [0, 1]
        assert not joint.is_busy()

    run(body())


def test_error_that_nobody_waits_for_is_not_reported(run: Run) -> None:
    async def body() -> None:
        reported: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
        link = Link()
        joint = joint_of(link)
        shared = [add(joint, "echo", {"a": number}) for number in range(2)]
        joint.flush()
        alone = add(joint, "echo", {"a": 2})
        joint.flush()
        for answer in link.answers:
            answer.set_exception(PluginDied("demo died"))
        for call in (*shared, alone):
            call.cancel()
        joint.give_up()
        await settled()
        link.answers.clear()
        gc.collect()
        assert not reported

    run(body())


def test_single_call_that_the_plugin_refuses_in_words_of_its_own_says_of_which_it_is(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        call = add(joint, "echo", {"a": 0})
        joint.flush()
        link.answers[0].set_exception(CallFailed("no", name="rpc.foreign"))
        await settled()
        assert str(call.exception()) == "demo echo: no"

    run(body())


def test_call_that_is_given_up_before_it_is_sent_is_not_sent(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(3)]
        calls[1].cancel()
        joint.give_up()
        joint.flush()
        assert link.asked == [many({"a": 0}, {"a": 2})]
        calls[0].cancel()
        joint.give_up()
        await settled()
        assert link.abandoned == []
        calls[2].cancel()
        joint.give_up()
        await settled()
        assert link.abandoned == [0]

    run(body())


def test_calls_that_were_not_sent_end_with_the_link(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(2)]
        joint.fail(lambda: PluginDied("demo died"))
        joint.flush()
        assert link.asked == []
        assert {str(call.exception()) for call in calls} == {"demo died"}

    run(body())


def test_names_that_callers_think_of_take_no_memory(run: Run) -> None:
    async def body() -> None:
        joint = joint_of(Link())
        assert sum(joint.takes(f"name{number}") for number in range(1000)) == 127

    run(body())


def test_settled_when_what_was_left_of_a_shared_request_is_asked_anew(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        for number in range(3):
            add(joint, "echo", {"a": number})
        waits = asyncio.ensure_future(joint.settle(10))
        await settled()
        assert link.asked == [many({"a": 0}, {"a": 1}, {"a": 2})]
        assert not waits.done()
        link.answers[0].set_result({"results": [0], "failures": []})
        await settled()
        await settled()
        assert waits.done()
        assert link.asked[1:] == [one({"a": 1}), one({"a": 2})]
        await joint.settle(10)

    run(body())


def split(link: Link, results: Any, failures: Any = ()) -> None:
    """The first request was split."""
    link.splits.pop(0)({"msgid": 0, "results": results, "failures": list(failures)})


def test_call_that_lasts_keeps_the_request_and_the_others_go_on(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(5)]
        joint.flush()
        waits = asyncio.ensure_future(joint.settle(10))
        await settled()
        split(link, [0, None], [[1, {"status": 3, "status_message": "no", "result": None}]])
        await settled()
        assert calls[0].result() == 0
        assert str(calls[1].exception()) == "demo echo: no"
        assert link.asked[1:] == [one({"a": 3}), one({"a": 4})]
        assert (waits.done(), joint.count(0), joint.takes("echo")) == (True, 1, False)
        link.answers[2].set_result({"status": 0, "result": 4})
        await settled()
        assert [call.done() for call in calls] == [True, True, False, False, True]
        link.answers[0].set_result({"status": 0, "result": 2})
        link.answers[1].set_result({"status": 0, "result": 3})
        await settled()
        assert [calls[number].result() for number in (2, 3, 4)] == [2, 3, 4]
        assert not joint.is_busy()
        assert link.abandoned == []

    run(body())


@pytest.mark.parametrize("leaves_first", [False, True])
def test_request_is_cancelled_when_who_called_what_lasts_gives_it_up(run: Run, leaves_first: bool) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(3)]
        joint.flush()
        for leaves in (leaves_first, not leaves_first):
            if leaves:
                calls[1].cancel()
                joint.give_up()
                await settled()
            else:
                split(link, [0])
                await settled()
        assert link.abandoned == [0]
        assert calls[0].result() == 0
        assert not calls[2].done()
        assert link.splits == {}

    run(body())


@pytest.mark.parametrize("results", [None, [0, 1, 2], "no"])
def test_split_that_makes_no_sense_fails_every_call(run: Run, results: Any) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        calls = [add(joint, "echo", {"a": number}) for number in range(3)]
        joint.flush()
        split(link, results)
        await settled()
        for call in calls:
            error = call.exception()
            assert isinstance(error, CallFailed)
            assert error.name == "rpc.foreign"
        assert link.abandoned == [0]
        assert not joint.is_busy()

    run(body())


def test_one_that_gets_no_answer_is_waited_for_as_long_as_is_said(run: Run) -> None:
    async def body() -> None:
        joint = joint_of(Link())
        for number in range(2):
            add(joint, "echo", {"a": number})
        await joint.settle(0.01)

    run(body())
