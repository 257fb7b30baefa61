"""A result that is still to come: settled once, heard of once by everybody, however they listen."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.errors import CallError, CallFailed, CallTimeout
from plugin_host_sdk.later import Later
from tests.later import later as soon
from tests.run import Run


def test_it_is_open_until_it_is_settled() -> None:
    later = Later()
    assert (later.is_settled, repr(later)) == (False, "<Later open>")
    later.resolve(1)
    assert (later.is_settled, repr(later)) == (True, "<Later settled>")


def test_who_waits_gets_the_result() -> None:
    later = Later()
    soon(lambda: later.resolve({"rows": 3}))
    assert later.wait(5) == {"rows": 3}


def test_who_waits_for_what_is_there_does_not_wait() -> None:
    later = Later()
    later.resolve("there")
    assert later.wait(0) == "there"


def test_result_unless_given_is_none() -> None:
    later = Later()
    later.resolve()
    assert later.wait(0) is None


def test_error_is_raised_as_it_was_given() -> None:
    later, error = Later(), CallFailed("why", name="rpc.busy")
    soon(lambda: later.fail(error))
    with pytest.raises(CallFailed, match="why") as caught:
        later.wait(5)
    assert caught.value is error


def test_wait_has_an_end() -> None:
    later = Later()
    with pytest.raises(CallTimeout, match=r"no result within 0\.01 s") as caught:
        later.wait(0.01)
    assert caught.value.name == "rpc.deadline_exceeded"
    later.resolve("late")
    assert later.wait(0) == "late"


def test_listener_is_called_by_who_settles() -> None:
    later, heard = Later(), list[tuple[Any, CallError | None, int]]()
    later.then(lambda result, error: heard.append((result, error, threading.get_ident())))
    assert heard == []
    settler = threading.Thread(target=later.resolve, args=[7])
    settler.start()
    number = settler.ident
    settler.join(5)
    assert heard == [(7, None, number)]


def test_listener_that_comes_late_is_called_at_once() -> None:
    later, error, heard = Later(), CallFailed("why"), list[tuple[Any, CallError | None]]()
    later.fail(error)
    later.then(lambda *outcome: heard.append(outcome))
    assert heard == [(None, error)]


def test_listener_may_use_what_it_hears_of() -> None:
    """It is called outside the lock: otherwise this would wait for itself."""
    later, heard = Later(), list[Any]()

    def listen_again(result: Any, error: CallError | None) -> None:
        later.resolve("again")
        later.then(lambda result, error: heard.append(result))
        heard.append(later.wait(0))

    later.then(listen_again)
    later.resolve("first")
    assert heard == ["first", "first"]


@given(st.lists(st.sampled_from(["resolve", "fail", "then"]), max_size=12))
def test_first_settling_counts_and_everybody_hears_of_it_once(steps: list[str]) -> None:
    later, heard, listeners = Later(), list[tuple[int, Any, CallError | None]](), 0
    outcome: tuple[Any, CallError | None] | None = None
    for number, step in enumerate(steps):
        if step == "then":
            listeners += 1
            later.then(lambda *outcome, which=listeners: heard.append((which, *outcome)))
        elif step == "resolve":
            later.resolve(number)
            outcome = outcome or (number, None)
        else:
            later.fail(error := CallFailed(str(number)))
            outcome = outcome or (None, error)
    assert later.is_settled == (outcome is not None)
    expected = [(which, *outcome) for which in range(1, listeners + 1)] if outcome else []
    assert heard == expected


def test_listeners_and_settlers_of_many_threads_miss_nothing_and_repeat_nothing() -> None:
    for _ in range(50):
        later, heard = Later(), list[int]()
        start = threading.Barrier(6)

        def listen(later: Later = later, heard: list[int] = heard, start: Any = start) -> None:
            start.wait(5)
            for _ in range(20):
                later.then(lambda result, error: heard.append(result))

        def settle(value: int, later: Later = later, start: Any = start) -> None:
            start.wait(5)
            later.resolve(value)

        threads = [threading.Thread(target=listen) for _ in range(4)]
        threads += [threading.Thread(target=settle, args=[value]) for value in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert len(heard) == 80
        assert len(set(heard)) == 1


# In coroutines.


def test_coroutine_awaits_the_result(run: Run) -> None:
    async def body() -> Any:
        later = Later()
        soon(lambda: later.resolve(5))
        return await later

    assert run(body()) == 5


def test_coroutine_awaits_what_is_there(run: Run) -> None:
    async def body() -> Any:
        later = Later()
        later.resolve(5)
        return await later

    assert run(body()) == 5


def test_coroutine_gets_the_error(run: Run) -> None:
    async def body() -> None:
        later = Later()
        soon(lambda: later.fail(CallFailed("why")))
        with pytest.raises(CallFailed, match="why"):
            await later

    run(body())


def test_many_coroutines_await_the_same(run: Run) -> None:
    async def body() -> list[Any]:
        later = Later()

        async def wait() -> Any:
            return await later

        waiting = [asyncio.ensure_future(wait()) for _ in range(5)]
        soon(lambda: later.resolve("for all"))
        return await asyncio.gather(*waiting)

    assert run(body()) == ["for all"] * 5


def test_coroutine_may_give_up_waiting(run: Run) -> None:
    async def body() -> Any:
        later = Later()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await later
        later.resolve("late")
        return await later

    assert run(body()) == "late"


def test_waiter_whose_loop_is_gone_keeps_the_word_from_nobody() -> None:
    """A handler's loop may end while somebody still works for it."""
    later, heard = Later(), list[Any]()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await later

    asyncio.run(give_up())
    later.then(lambda result, error: heard.append(result))
    later.resolve("to the living")
    assert heard == ["to the living"]
