"""A reader that does not read holds up its task, and neither the result nor the worker behind the end."""

from __future__ import annotations

import asyncio

import pytest

from plugin_host.errors import TaskLost
from plugin_host.task import task as task_module
from tests.run import Run
from tests.tasklink import Scene, tasked

MIB = 1 << 20
WHOLE = bytes(range(256)) * (4 * MIB // 256)


async def killed(scene: Scene, state: str) -> None:
    asked = await scene.plugin.request("metadata.kill_process")
    await scene.plugin.answer(asked.msgid, {"state": state})


async def closed(scene: Scene) -> None:
    asked = await scene.plugin.request("metadata.close")
    await scene.plugin.answer(asked.msgid, {})


def test_log_of_a_task_that_was_closed_is_given_up_and_frees_its_worker(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_module, "GRACE_S", 0.01)
    monkeypatch.setattr(task_module, "_CLOSE_S", 0.01)

    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work")
            _, log = await scene.taken()
            reader = task.log()
            await scene.fill(log, WHOLE)
            closing = asyncio.create_task(task.close())
            await killed(scene, "killed")
            await scene.stopped(log)
            await closed(scene)
            await closing
            assert task.state == "lost"
            assert len(await anext(reader)) > 0

    run(body())


def test_task_that_is_killed_has_room_for_its_last_words_though_its_reader_does_not_read(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work", timeout=0.05)
            order, log = await scene.taken()
            reader = task.log()
            sent = await scene.fill(log, WHOLE)
            await killed(scene, "killed")
            last = WHOLE[:500_000]
            await scene.write(log, last)
            total = sent + len(last)
            await scene.send("failed", task=order["task"], log_bytes=total, signal="SIGTERM", reason="")
            result = await asyncio.create_task(task.result())  # who asks is not who reads
            assert result.timed_out
            assert len(b"".join([piece async for piece in reader])) == total

    run(body())


def test_result_does_not_wait_for_a_reader_of_who_waits_for_it(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work")
            order, log = await scene.taken()
            reader = task.log()
            await scene.write(log, b"first")
            assert await anext(reader) == b"first"

            async def work() -> None:
                await scene.write(log, WHOLE)
                await scene.send("success", task=order["task"], log_bytes=5 + len(WHOLE))

            working = asyncio.create_task(work())
            assert (await task.result()).success
            await working
            rest = b"".join([piece async for piece in reader])
            assert rest == WHOLE[-1_000_000:]
            assert (reader.evicted, reader.offset) == (len(WHOLE) - 1_000_000, 5 + len(WHOLE))

    run(body())


def test_reader_that_was_released_goes_on_where_it_was_and_holds_again(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work")
            _, log = await scene.taken()
            reader = task.log()
            reader.release()
            await scene.write(log, b"first")
            assert await anext(reader) == b"first"
            assert reader.evicted == 0
            assert await scene.fill(log, WHOLE) <= 1_000_000 + MIB
            reader.release()
            reader.close()
            assert [piece async for piece in reader] == []
            task.lose("over")
            with pytest.raises(TaskLost):
                await task.result()

    run(body())
