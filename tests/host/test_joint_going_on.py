"""Who called in one turn of the loop with others, and goes on when the answer to all is dealt."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from plugin_host.traffic import traffic_of
from tests.jointlink import Link, add, callers, ended, joint_of, many, one, settled
from tests.run import Run


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_host.joint.processors", lambda: 2)


def test_who_waited_goes_on_in_the_turn_in_which_the_answer_is_dealt(run: Run) -> None:
    async def body() -> None:
        link, told = Link(), list[Any]()
        tasks = await callers(joint_of(link), 3, lambda *one: told.append(one))
        asyncio.get_running_loop().call_soon(link.joint.flush)  # type: ignore[union-attr]
        await asyncio.sleep(0)
        link.answers[0].set_result(ended(10, 11, 12))
        asyncio.get_running_loop().call_soon(told.append, "the same turn")
        await asyncio.sleep(0)
        assert told == [(0, 10), (1, 11), (2, 12), "the same turn"]
        await asyncio.gather(*tasks)

    run(body())


def test_what_was_not_run_is_asked_before_what_those_ask_who_go_on(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        tasks = await callers(joint, 3, lambda number, _: number or add(joint, "echo", {"a": "more"}))
        joint.flush()
        link.answers[0].set_result(ended(10))
        await settled()
        joint.flush()
        assert link.asked[1:] == [one({"a": 1}), one({"a": 2}), one({"a": "more"})]
        for task in tasks:
            task.cancel()

    run(body())


def test_what_was_not_run_is_asked_first_when_two_answers_have_come(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        first = await callers(joint, 2, lambda number, _: add(joint, "echo", {"a": f"more {number}"}))
        joint.flush()
        second = await callers(joint, 3, lambda *_: None)
        joint.flush()
        link.answers[0].set_result(ended(10, 11))
        link.answers[1].set_result(ended(12))
        await settled()
        joint.flush()
        assert link.asked[2:] == [one({"a": 1}), one({"a": 2}), many({"a": "more 0"}, {"a": "more 1"})]
        for task in first + second:
            task.cancel()

    run(body())


def test_who_goes_on_may_turn_the_loop_until_another_has_its_result(run: Run) -> None:
    """As under nest_asyncio, in a notebook."""

    async def body() -> None:
        link, loop = Link(), asyncio.get_running_loop()
        tasks: list[asyncio.Task[Any]] = []

        def turn(number: int, result: Any) -> Any:
            task = asyncio.current_task()
            assert task is not None
            if number == 0:
                asyncio.tasks._leave_task(loop, task)
                while not tasks[2].done():
                    loop._run_once()  # type: ignore[attr-defined]
                asyncio.tasks._enter_task(loop, task)
            return result

        tasks += await callers(joint_of(link), 3, turn)
        link.joint.flush()  # type: ignore[union-attr]
        link.answers[0].set_result(ended(10, 11, 12))
        assert await asyncio.gather(*tasks) == [10, 11, 12]

    run(body())


def test_loop_is_not_taken_for_idle_while_others_are_to_go_on(run: Run) -> None:
    async def body() -> None:
        link, loop, seen = Link(), asyncio.get_running_loop(), list[int]()
        tasks = await callers(
            joint_of(link),
            3,
            lambda *_: seen.append(len(loop._ready)),  # type: ignore[attr-defined]
        )
        link.joint.flush()  # type: ignore[union-attr]
        link.answers[0].set_result(ended(10, 11, 12))
        await asyncio.gather(*tasks)
        assert min(seen) > 0

    run(body())


def test_who_goes_on_may_cancel_another_of_the_same_request(run: Run) -> None:
    async def body() -> None:
        link = Link()
        joint = joint_of(link)
        tasks: list[asyncio.Task[Any]] = []
        tasks += await callers(joint, 3, lambda number, _: number == 0 and tasks[1].cancel())
        joint.flush()
        link.answers[0].set_result(ended(10, 11, 12))
        await settled()
        assert [task.cancelled() for task in tasks] == [False, True, False]
        assert [tasks[0].result(), tasks[2].result()] == [True, False]

    run(body())


def test_task_that_ends_the_loop_keeps_no_other_from_its_result() -> None:
    told: list[Any] = []

    def go_on(number: int, result: Any) -> None:
        if number == 1:
            raise SystemExit
        told.append((number, result))

    async def ask(link: Link) -> list[asyncio.Task[Any]]:
        joint = joint_of(link)
        tasks = await callers(joint, 4, go_on)
        joint.flush()
        return tasks

    link, loop = Link(), asyncio.new_event_loop()
    try:
        tasks = loop.run_until_complete(ask(link))
        loop.call_soon(link.answers[0].set_result, ended(10, 11, 12))
        with pytest.raises(SystemExit):
            loop.run_forever()
        assert told == [(0, 10)]
        assert link.asked[1:] == [one({"a": 3})]
        loop.run_until_complete(tasks[2])
        assert told == [(0, 10), (2, 12)]
        tasks[3].cancel()
        loop.run_until_complete(asyncio.gather(*tasks[2:], return_exceptions=True))
        with pytest.raises(SystemExit):
            tasks[1].result()
    finally:
        loop.close()


def test_half_of_those_in_flight_go_together_and_on_one_processor_all(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def rounds(link: Link) -> list[int]:
        """How many went together at last, of twelve that ask on and on."""
        joint = joint_of(link)
        for _ in range(80):
            tasks = await callers(joint, 12, lambda *_: None)
            joint.flush()
            sizes = [len(asked.get("many", [1])) for _, asked in link.asked]
            for answer, size in zip(link.answers, sizes, strict=True):
                answer.set_result(ended(*range(size)) if size > 1 else {"status": 0, "result": 0})
            await asyncio.gather(*tasks)
            link.asked.clear()
            link.answers.clear()
        return sizes

    assert run(rounds(Link())) == [6, 6]
    monkeypatch.setattr("plugin_host.joint.processors", lambda: 1)
    assert run(rounds(Link())) == [12]


def test_plugin_is_busy_as_long_as_a_request_waits(run: Run) -> None:
    async def body() -> None:
        traffic = traffic_of(asyncio.get_running_loop())
        links = [Link(), Link()]
        for link in links:
            tasks = await callers(joint_of(link), 2, lambda *_: None)
            link.joint.flush()  # type: ignore[union-attr]
            assert traffic.busy == links.index(link) + 1
            tasks += await callers(link.joint, 1, lambda *_: None)  # type: ignore[arg-type]
            link.joint.flush()  # type: ignore[union-attr]
            assert traffic.busy == links.index(link) + 1
            link.tasks = tasks  # type: ignore[attr-defined]
        links[0].answers[0].set_result(ended(1, 2))
        await settled()
        assert traffic.busy == 2
        links[0].answers[1].set_result({"status": 0, "result": 3})
        await settled()
        assert traffic.busy == 1
        for task in links[1].tasks:  # type: ignore[attr-defined]
            task.cancel()
        links[1].joint.give_up()  # type: ignore[union-attr]
        await settled()
        assert traffic.busy == 0

    run(body())
