"""Work that is done to its end, whoever asked for it and goes."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from typing import Any

import pytest

from plugin_host.undertaking import Undertakings, all_done
from tests.run import Run

where: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")


def test_work_goes_on_when_who_waits_for_it_goes(run: Run) -> None:
    async def body() -> None:
        undertakings = Undertakings()
        may_end, has_ended = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            await may_end.wait()
            has_ended.set()

        waiting = asyncio.create_task(undertakings.finish(work()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(undertakings.running) == 1
        may_end.set()
        await has_ended.wait()
        await asyncio.sleep(0)
        assert not undertakings.running

    run(body())


def test_result_and_error_are_told_to_who_waits_and_to_nobody_else(run: Run) -> None:
    async def body() -> None:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        undertakings = Undertakings()

        async def fail() -> None:
            await asyncio.sleep(0)
            raise ValueError("no")

        assert await undertakings.finish(asyncio.sleep(0, "done")) == "done"
        with pytest.raises(ValueError, match="no"):
            await undertakings.finish(fail())
        undertakings.begin(fail())
        while undertakings.running:  # noqa: ASYNC110 - two turns of the loop
            await asyncio.sleep(0)
        gc.collect()
        assert told == []

    run(body())


def test_work_is_done_in_the_context_that_is_given(run: Run) -> None:
    async def body() -> None:
        where.set("here")

        async def look() -> str:
            return where.get()

        assert await Undertakings().finish(look()) == "here"
        assert await Undertakings().finish(look(), contextvars.Context()) == "nowhere"

    run(body())


def test_all_are_waited_for_before_the_first_error_is_raised(run: Run) -> None:
    async def body() -> None:
        async def fail(text: str) -> None:
            raise ValueError(text)

        ended = asyncio.create_task(asyncio.sleep(0.01))
        tasks = [asyncio.create_task(fail("first")), asyncio.create_task(fail("second")), ended]
        with pytest.raises(ValueError, match="first"):
            await all_done(tasks)
        assert ended.done()
        tasks[1].exception()

    run(body())


def test_cancelling_who_waits_for_all_cancels_all_and_waits_for_them(run: Run) -> None:
    async def body() -> None:
        cleaned = []

        async def slow() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                cleaned.append(True)

        tasks = [asyncio.create_task(slow()) for _ in range(2)]
        waiting = asyncio.create_task(all_done(tasks))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert cleaned == [True, True]

    run(body())


def test_who_is_cancelled_again_and_again_still_waits_and_raises_the_first(run: Run) -> None:
    async def body() -> None:
        cleaned = []

        async def slow() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.01)
                cleaned.append(True)

        waiting = asyncio.create_task(all_done([asyncio.create_task(slow())]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel("the first")
        while not waiting.done():
            await asyncio.sleep(0)
            waiting.cancel("another")
        with pytest.raises(asyncio.CancelledError, match="the first"):
            await waiting
        assert cleaned == [True]

    run(body())


def test_work_that_is_not_hurried_ends_by_itself_before_the_cancellation_is_told(run: Run) -> None:
    async def body() -> None:
        work = asyncio.create_task(asyncio.sleep(0.01, "done"))
        waiting = asyncio.create_task(all_done([work], hurries=False))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert work.result() == "done"

    run(body())


def test_work_has_begun_before_it_is_cancelled(run: Run) -> None:
    async def body() -> None:
        told: list[str] = []

        async def work() -> None:
            told.append("begun")
            try:
                await asyncio.Event().wait()
            finally:
                told.append("ended")

        async def wait() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await all_done([asyncio.create_task(work()) for _ in range(2)])

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(wait())
        assert told == ["begun", "begun", "ended", "ended"]

    run(body())
