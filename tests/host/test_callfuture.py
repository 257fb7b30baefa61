"""The future of a call: a task that waits for it goes on where it is finished, and at no other place."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from typing import Any

import pytest

from plugin_host.callfuture import CallFuture
from tests.run import Run

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


def made() -> CallFuture:
    return CallFuture(asyncio.get_running_loop())


async def waiting(future: CallFuture, told: list[Any] | None = None) -> asyncio.Task[Any]:
    """A task that has come to wait for it."""

    async def wait() -> Any:
        result = await future
        if told is not None:
            told.append(result)
        return result

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return task


async def in_callback(function: Any, *arguments: Any) -> None:
    """Have the loop call it, as it calls what has to read."""
    asyncio.get_running_loop().call_soon(function, *arguments)
    await asyncio.sleep(0)


def test_task_goes_on_within_finish(run: Run) -> None:
    async def body() -> None:
        told: list[Any] = []
        future = made()
        task = await waiting(future, told)

        def finish() -> None:
            future.finish(7)
            told.append("finished")

        await in_callback(finish)
        assert told == [7, "finished"]
        assert await task == 7

    run(body())


def test_task_goes_on_in_a_later_turn_after_a_result_that_another_task_sets(run: Run) -> None:
    async def body() -> None:
        told: list[Any] = []
        future = made()
        task = await waiting(future, told)
        future.set_result(7)
        assert (told, future.done(), future.result()) == ([], True, 7)
        assert await task == 7

    run(body())


def test_result_that_is_there_is_not_waited_for(run: Run) -> None:
    async def body() -> None:
        future = made()
        future.finish(7)
        with pytest.raises(StopIteration) as ended:
            next(future.__await__())
        assert ended.value.value == 7
        assert await future == 7

    run(body())


def test_error_is_raised_in_the_task(run: Run) -> None:
    async def body() -> None:
        future = made()
        task = await waiting(future)
        future.set_exception(LookupError("no such thing"))
        with pytest.raises(LookupError, match="no such thing"):
            await task
        assert isinstance(future.exception(), LookupError)

    run(body())


def test_task_that_is_cancelled_while_it_waits_says_why(run: Run) -> None:
    async def body() -> None:
        future = made()
        task = await waiting(future)
        assert task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        assert (future.cancelled(), future.done(), future.cancel()) == (True, True, False)
        with pytest.raises(asyncio.CancelledError):
            future.result()

    run(body())


def test_task_that_is_cancelled_after_the_result_came_is_cancelled_all_the_same(run: Run) -> None:
    async def body() -> None:
        future = made()
        task = await waiting(future)
        future.set_result(7)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert future.result() == 7

    run(body())


def test_task_runs_in_its_own_context(run: Run) -> None:
    async def body() -> None:
        future = made()

        async def wait() -> str:
            variable.set("the task's")
            await future
            return variable.get()

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        variable.set("another's")
        await in_callback(future.finish, None)
        assert await task == "the task's"
        assert variable.get() == "another's"

    run(body())


@pytest.mark.parametrize("how", ["finish", "set_result", "set_exception"])
def test_task_goes_on_in_a_context_that_is_empty_as_well(run: Run, how: str) -> None:
    """What has set no variable has an empty context, and that is false."""

    async def body() -> None:
        future = made()

        async def wait() -> str:
            try:
                await future
            except LookupError:
                pass
            token = variable.set("the task's")
            await asyncio.sleep(0)
            value = variable.get()
            variable.reset(token)
            return value

        task = asyncio.create_task(wait(), context=contextvars.Context())
        await asyncio.sleep(0)
        await in_callback(getattr(future, how), LookupError() if how == "set_exception" else None)
        assert await task == "the task's"

    run(body())


def test_task_is_the_current_one_while_it_goes_on(run: Run) -> None:
    async def body() -> None:
        future = made()

        async def wait() -> Any:
            await future
            return asyncio.current_task()

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        await in_callback(future.finish, None)
        assert await task is task

    run(body())


@pytest.mark.parametrize("how", ["wait_for", "gather", "shield", "timeout", "wait", "group"])
def test_whatever_asyncio_has_for_waiting_waits_for_it(run: Run, how: str) -> None:
    async def body() -> None:
        future = made()
        waited: Any = future
        assert asyncio.isfuture(waited)

        async def wait() -> Any:
            if how == "wait_for":
                return await asyncio.wait_for(waited, 5)
            if how == "gather":
                return (await asyncio.gather(waited))[0]
            if how == "shield":
                return await asyncio.shield(waited)
            if how == "wait":
                await asyncio.wait([waited])
            elif how == "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(waiting(future))
            async with asyncio.timeout(5):
                return await future

        task = asyncio.create_task(wait())
        for _ in range(3):
            await asyncio.sleep(0)
        await in_callback(future.finish, 7)
        assert await task == 7

    run(body())


def test_question_before_the_end_is_an_error(run: Run) -> None:
    async def body() -> None:
        with pytest.raises(asyncio.InvalidStateError):
            made().result()
        with pytest.raises(asyncio.InvalidStateError):
            made().exception()

    run(body())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_eager_task_goes_on_too(run: Run) -> None:
    async def body() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        told: list[Any] = []
        future = made()
        task = await waiting(future, told)
        await in_callback(future.finish, 7)
        assert told == [7]
        await task

    run(body())


def test_task_that_ends_the_loop_ends_it_by_its_own_exception() -> None:
    loop = asyncio.new_event_loop()

    async def wait(future: CallFuture) -> None:
        await future
        raise SystemExit(3)

    future = CallFuture(loop)
    task = loop.create_task(wait(future))
    loop.call_later(0.01, future.finish, None)
    with pytest.raises(SystemExit):
        loop.run_until_complete(task)
    loop.close()
