"""A result whose reader goes on where it is given, at no later turn of the loop."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from plugin_host.wakeup import finish
from tests.run import Run

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


def made() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def waiting(future: asyncio.Future[Any], told: list[Any]) -> asyncio.Task[Any]:
    """A task that has come to wait for it."""

    async def wait() -> Any:
        variable.set("the task's")
        result = await future
        told.append((result, variable.get()))
        return result

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return task


async def in_callback(*calls: Any) -> None:
    """Have the loop call them, as it calls what has to read."""
    for call in calls:
        asyncio.get_running_loop().call_soon(call)
    await asyncio.sleep(0)


def test_task_goes_on_within_finish_and_in_its_own_context(run: Run) -> None:
    async def body() -> None:
        told: list[Any] = []
        future = made()
        task = await waiting(future, told)

        def end() -> None:
            finish(iter([(future, 7)]))
            told.append((variable.get(), future.result()))

        await in_callback(end)
        assert told == [(7, "the task's"), ("nothing", 7)]
        assert await task == 7

    run(body())


def test_result_that_nobody_waits_for_yet_is_there_for_who_comes(run: Run) -> None:
    async def body() -> None:
        future = made()
        await in_callback(lambda: finish(iter([(future, 7)])))
        assert await future == 7

    run(body())


def test_each_of_several_who_wait_goes_on_in_the_next_turn(run: Run) -> None:
    async def body() -> None:
        told: list[Any] = []
        future = made()
        tasks = [await waiting(future, told) for _ in range(3)]

        def end() -> None:
            finish(iter([(future, 7)]))
            told.append("finished")

        await in_callback(end)
        assert await asyncio.gather(*tasks) == [7, 7, 7]
        assert told == ["finished", *[(7, "the task's")] * 3]

    run(body())


def test_what_ends_the_loop_comes_out() -> None:
    async def body() -> None:
        future = made()

        async def leave() -> None:
            await future
            raise SystemExit(3)

        task = asyncio.create_task(leave())
        await asyncio.sleep(0)
        await in_callback(lambda: finish(iter([(future, 7)])))
        await task

    with pytest.raises(SystemExit) as caught:
        asyncio.run(body())
    assert caught.value.code == 3
