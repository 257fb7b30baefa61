"""The sizes that reach a terminal handler: the newest counts, and who gave one hears when it was taken."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.exec.resize import Resizes
from plugin_host_sdk.later import Later
from plugin_host_sdk.types.session import Size
from tests.later import later as soon
from tests.run import Run

ONE, TWO, THREE = Size(1, 10), Size(2, 20), Size(3, 30)


def put(resizes: Resizes, size: Size) -> Later:
    """Offer a size; settled when it was taken."""
    later = Later()
    resizes.put(size, later)
    return later


def test_size_is_taken_once() -> None:
    resizes = Resizes("s")
    later = put(resizes, ONE)
    assert resizes.get(0) == ONE
    assert later.wait(0) == {}
    assert resizes.get(0) is None


def test_newest_size_counts_and_settles_those_before_it() -> None:
    resizes = Resizes("s")
    laters = [put(resizes, size) for size in (ONE, TWO, THREE)]
    assert [later.is_settled for later in laters] == [False] * 3
    assert resizes.get(0) == THREE
    assert [later.wait(0) for later in laters] == [{}] * 3
    assert resizes.get(0) is None


def test_who_waits_gets_the_next_size() -> None:
    resizes = Resizes("s")
    soon(lambda: resizes.put(ONE))
    assert resizes.get(5) == ONE


def test_size_that_is_not_taken_in_time_fails_its_giver_and_is_still_there() -> None:
    resizes = Resizes("s")
    first = put(resizes, ONE)
    resizes.give_up(first, 0.5)
    with pytest.raises(TerminalError, match=r"did not take the new size within 0\.5 s") as caught:
        first.wait(0)
    assert caught.value.session == "s"
    second = put(resizes, TWO)
    assert resizes.get(0) == TWO
    assert second.wait(0) == {}


def test_size_that_was_given_up_may_still_be_taken() -> None:
    resizes = Resizes("s")
    later = put(resizes, ONE)
    resizes.give_up(later, 0.5)
    assert resizes.get(0) == ONE


def test_end_ends_the_waiting_and_the_iteration() -> None:
    resizes = Resizes("s")
    seen: list[Size] = []
    reader = threading.Thread(target=lambda: seen.extend(resizes))
    reader.start()
    put(resizes, ONE).wait(5)
    resizes.close()
    reader.join(5)
    assert seen == [ONE]
    assert resizes.get() is None
    assert list(resizes) == []


def test_giver_of_a_size_that_nobody_took_is_settled_by_the_end() -> None:
    resizes = Resizes("s")
    later = put(resizes, ONE)
    resizes.close()
    assert later.wait(0) == {}
    resizes.close()


@given(st.lists(st.integers(1, 100) | st.none(), max_size=20))
def test_what_is_taken_is_always_the_newest(steps: list[int | None]) -> None:
    """None takes."""
    resizes, newest, laters = Resizes("s"), None, list[Later]()
    for step in steps:
        if step is not None:
            newest = Size(step, step)
            laters.append(put(resizes, newest))
        else:
            assert resizes.get(0) == newest
            newest = None
            assert all(later.is_settled for later in laters)
    assert resizes.get(0) == newest


# Coroutines.


def test_coroutine_iterates_to_the_end(run: Run) -> None:
    async def body() -> list[Size]:
        resizes = Resizes("s")
        seen: list[Size] = []
        resizes.put(ONE)
        async for size in resizes:
            seen.append(size)
            if size == ONE:
                soon(lambda: put(resizes, TWO).wait(5), resizes.close)
        return seen

    assert run(body()) == [ONE, TWO]


def test_coroutine_that_waits_takes_the_size_when_it_comes(run: Run) -> None:
    async def body() -> None:
        resizes = Resizes("s")
        waiting = asyncio.ensure_future(anext(resizes))
        await asyncio.sleep(0)
        later = put(resizes, ONE)
        assert await waiting == ONE
        assert later.is_settled
        assert resizes.get(0) is None

    run(body())


def test_end_reaches_a_coroutine_that_waits(run: Run) -> None:
    async def body() -> None:
        resizes = Resizes("s")
        waiting = asyncio.ensure_future(anext(resizes))
        await asyncio.sleep(0)
        resizes.close()
        with pytest.raises(StopAsyncIteration):
            await waiting
        with pytest.raises(StopAsyncIteration):
            await anext(resizes)

    run(body())


async def give_up_waiting(resizes: Resizes) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(resizes)


def test_coroutine_that_gave_up_waiting_takes_nothing(run: Run) -> None:
    """`asyncio.timeout` around one step of the iteration is how a handler does two things at once."""

    async def body() -> None:
        resizes = Resizes("s")
        await give_up_waiting(resizes)
        later = put(resizes, ONE)
        assert not later.is_settled
        assert await anext(resizes) == ONE
        assert later.is_settled

    run(body())


def test_coroutine_that_is_cancelled_when_the_size_is_on_its_way_leaves_it(run: Run) -> None:
    async def body() -> None:
        resizes = Resizes("s")
        waiting = asyncio.ensure_future(anext(resizes))
        await asyncio.sleep(0)
        resizes.put(ONE)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert await anext(resizes) == ONE
        waiting = asyncio.ensure_future(anext(resizes))
        await asyncio.sleep(0)
        resizes.put(ONE)
        resizes.put(TWO)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await anext(resizes) == TWO  # the newer one

    run(body())
