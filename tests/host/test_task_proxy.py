"""Tasks on their way to a plugin, and what it says of them."""

from __future__ import annotations

import asyncio

import pytest

from plugin_host.errors import (
    CallFailed,
    MethodNotAllowed,
    PluginDied,
    TaskLost,
)
from plugin_host.task import proxy as proxy_module
from plugin_host.task.logreader import LogReader
from tests.run import Run
from tests.tasklink import tasked

MIB = 1 << 20


def test_task_is_dealt_to_the_request_that_waits_and_answered_for(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            msgid, log = await scene.execute()
            await scene.ping()
            assert scene.proxy.held == 1
            task = scene.give("make", id="t", env={"A": "1"}, cwd="/", labels={"l": "x"}, timeout=5)
            order = await scene.answer(msgid)
            assert order == {
                "task": "t",
                "command": ["make"],
                "env": {"A": "1"},
                "cwd": "/",
                "tty": True,
                "labels": {"l": "x"},
                "timeout_ms": 5000.0,
                "rows": 27,
                "cols": 72,
                "log_window": MIB,
            }
            scene.streams.open_send(log, order["log_window"])
            assert await scene.ask("start", task="t") == {"kill": False, "grace_ms": 5000.0}
            await scene.write(log, b"hello")
            await scene.end(log)
            assert await scene.ask("success", task="t", log_bytes=5, code=0) == {}
            assert await scene.ask("success", task="t", log_bytes=5, code=0) == {}
            again = await scene.refused("failed", task="t", log_bytes=5, code=1)
            assert again == "metadata.resource_conflict"
            assert (await task.result()).success
            assert [piece async for piece in task.log()] == [b"hello"]

    run(body())


def test_tasks_and_requests_meet_in_the_order_in_which_they_came(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            tasks = [scene.give("work", id=name) for name in "abc"]
            await tasks[1].kill()
            first, second = await scene.execute(), await scene.execute()
            assert (await scene.answer(first[0]))["task"] == "a"
            assert (await scene.answer(second[0]))["task"] == "c"
            assert scene.proxy.held == 0
            assert scene.proxy.is_busy

    run(body())


def test_cancelled_request_gets_no_task_and_its_stream_is_forgotten(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            msgid, log = await scene.execute()
            scene.streams.open_send(log, 0)
            cancel = scene.plugin.connection.send_notification("cancel", {"msgid": msgid})
            await scene.plugin.send(cancel)
            await scene.end(log, {"name": "rpc.cancelled"})
            assert await scene.error(msgid) == "rpc.cancelled"
            task = scene.give("work")
            await scene.ping()
            assert (task.state, scene.proxy.held) == ("pending", 0)
            assert not scene.link.is_over

    run(body())


def test_request_that_is_cancelled_in_the_same_breath_harms_nobody(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work", id="t")
            log = scene.streams.reserve()
            connection = scene.plugin.connection
            msgid, asking = connection.send_request("metadata.execute", {"log": log})
            scene.streams.open_send(log, 0)
            cancel = connection.send_cancel(msgid)
            await scene.plugin.send(
                asking + cancel + scene.streams.send_end(log, {"name": "rpc.cancelled"})
            )
            await scene.ping()
            assert not scene.link.is_over
            order, _ = await scene.taken()
            assert (order["task"], task.state) == ("t", "running")

    run(body())


def test_task_that_met_a_cancelled_request_is_given_to_the_next(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            msgid, log = await scene.execute()
            await scene.ping()
            task = scene.give("work", id="t")
            # The plugin has given up before it hears of the task.
            scene.streams.open_send(log, 0)
            await scene.plugin.send(scene.plugin.connection.send_cancel(msgid))
            await scene.end(log, {"name": "rpc.cancelled"})
            order, _ = await scene.taken()
            assert (order["task"], task.state) == ("t", "running")

    run(body())


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("execute", {}, "metadata.invalid_payload"),
        ("execute", {"log": 2}, "metadata.invalid_payload"),
        ("execute", {"log": "x"}, "metadata.invalid_payload"),
        ("start", {"task": "t", "x": 1}, "metadata.resource_conflict"),
        ("start", {"task": "other"}, "metadata.unknown_action_id"),
        ("success", {"task": "other", "log_bytes": 0}, "metadata.unknown_action_id"),
        ("success", {"task": "t"}, "metadata.invalid_payload"),
        ("success", {"task": "t", "log_bytes": -1}, "metadata.invalid_payload"),
        ("failed", {"task": "t", "log_bytes": 0, "code": "x"}, "metadata.invalid_payload"),
        ("artifact_sent", {"task": "t"}, "metadata.method_not_allowed"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    run: Run, method: str, params: dict[str, object], name: str
) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work", id="t")
            await scene.taken()
            assert await scene.refused(method, **params) == name
            assert task.state == "running"

    run(body())


@pytest.mark.parametrize("method", ["execute", "success", "get", "wait"])
def test_request_that_comes_as_a_notification_is_named(run: Run, method: str) -> None:
    async def body() -> None:
        async with tasked() as scene:
            with pytest.raises(MethodNotAllowed, match="is a request"):
                scene.proxy.hear(f"metadata.{method}", {})

    run(body())


def test_stream_that_was_open_before_is_refused(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            _, log = await scene.execute()
            assert await scene.refused("execute", log=log) == "metadata.invalid_payload"
            assert scene.proxy.held == 1

    run(body())


def test_plugin_that_asks_or_is_given_too_much_is_told_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_module, "MOST_EXECUTES", 2)
    monkeypatch.setattr(proxy_module, "MOST_WAITING", 2)

    async def body() -> None:
        async with tasked() as scene:
            for _ in range(2):
                await scene.execute()
            log = scene.streams.reserve()
            assert await scene.refused("execute", log=log) == "rpc.busy"
            scene.streams.open_send(log, 0)
            await scene.end(log, {"name": "rpc.cancelled"})
            await scene.ping()
            assert not scene.link.is_over
            for _ in range(4):
                scene.give("work")
            with pytest.raises(CallFailed, match="2 tasks wait"):
                scene.give("work")

    run(body())


def test_task_that_the_plugin_has_no_room_for_is_refused(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            scene.link.connection.peer_limits.message_bytes = 1000
            with pytest.raises(CallFailed) as caught:
                scene.give("x" * 1000)
            assert caught.value.name == "rpc.too_large"

    run(body())


def test_result_waits_for_the_log_that_it_overtook(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work", id="t")
            _, log = await scene.taken()
            await scene.ask("success", task="t", log_bytes=10)
            assert task.state == "reported"
            await scene.write(log, b"0123456789")
            await scene.end(log)
            assert (await task.result()).success

    run(body())


@pytest.mark.parametrize("is_late", [False, True])
def test_log_that_is_shorter_than_the_report_says_is_no_silence(run: Run, is_late: bool) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work", id="t")
            _, log = await scene.taken()
            await scene.write(log, b"0123")
            if is_late:
                await scene.ask("success", task="t", log_bytes=10)
                await scene.end(log)
                with pytest.raises(TaskLost, match="6 bytes less"):
                    await task.result()
            else:
                await scene.end(log)
                wrong = await scene.refused("success", task="t", log_bytes=10)
                assert wrong == "metadata.invalid_payload"
                await scene.ask("success", task="t", log_bytes=4)
                assert (await task.result()).success

    run(body())


def test_log_that_breaks_off_loses_the_task_and_the_plugin_can_still_be_asked(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            for fault in ("end", "gap", "more"):
                task = scene.give("work")
                _, log = await scene.taken()
                await scene.write(log, b"0123")
                if fault == "end":
                    await scene.end(log, {"name": "rpc.internal", "message": "disk"})
                elif fault == "gap":
                    await scene.plugin.send(scene.streams.send_gap(log, 5))
                else:
                    await scene.send("success", task=task.id, log_bytes=5)
                    await scene.write(log, b"45678")
                with pytest.raises(TaskLost):
                    await task.result()
                closing = asyncio.create_task(task.close())
                asked = await scene.plugin.request("metadata.close")
                assert asked.params == {"task": task.id}
                await scene.plugin.answer(asked.msgid, {})
                await closing
            assert not scene.proxy.is_busy

    run(body())


def test_log_before_its_task_is_no_log(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            msgid, log = await scene.execute()
            scene.streams.open_send(log, 10)
            await scene.write(log, b"early")
            assert await scene.error(msgid) == "rpc.cancelled"
            await scene.stopped(log)

    run(body())


def test_log_has_credit_for_what_is_read_and_a_ring(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task, other = scene.give("work"), scene.give("work")
            _, log = await scene.taken()
            _, second = await scene.taken()
            reader = task.log()
            whole = bytes(range(256)) * (4 * MIB // 256)
            sent = await scene.fill(log, whole)
            assert 1_000_000 < sent <= 1_000_000 + MIB
            # The log of another task has all the room there is.
            await scene.write(second, whole)
            await scene.send("success", task=other.id, log_bytes=len(whole))
            assert (await other.result()).success
            reading = asyncio.create_task(_read(reader))
            await scene.write(log, whole[sent:])
            await scene.send("success", task=task.id, log_bytes=len(whole))
            assert (await task.result()).success
            assert await reading == whole

    run(body())


def test_kill_reaches_the_plugin_and_is_told_with_the_start(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            msgid, _ = await scene.execute()
            task = scene.give("work", id="t")
            await scene.answer(msgid)
            killing = asyncio.create_task(task.kill(grace=2))
            asked = await scene.plugin.request("metadata.kill_process")
            assert asked.params == {"task": "t", "grace_ms": 2000.0}
            await scene.plugin.answer(asked.msgid, {"state": "remembered"})
            assert await killing == "remembered"
            assert await scene.ask("start", task="t") == {"kill": True, "grace_ms": 2000.0}
            await scene.send("failed", task="t", log_bytes=0, signal="SIGTERM", reason="killed")
            result = await task.result()
            assert (result.success, result.signal, result.reason) == (False, "SIGTERM", "killed")
            assert await task.kill() == "ended"

    run(body())


def test_end_of_the_plugin_loses_its_tasks_and_ends_what_is_read(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            tasks = [scene.give("work") for _ in range(3)]
            await scene.taken()
            _, log = await scene.taken()
            await scene.write(log, b"x")
            await scene.send("success", task=tasks[1].id, log_bytes=1)
            assert (await tasks[1].result()).success
            getting = asyncio.create_task(tasks[1].get_artifact("/a"))
            asked = await scene.plugin.request("metadata.get_artifact")
            scene.streams.open_send(asked.params["stream"], asked.params["window"])
            await scene.plugin.answer(asked.msgid, {"size": 10})
            file = await getting
            scene.proxy.fail("it fell over", None, lambda: PluginDied("it fell over"))
            for task in (tasks[0], tasks[2]):
                with pytest.raises(TaskLost, match="it fell over"):
                    await task.result()
            assert (await tasks[1].result()).success
            with pytest.raises(PluginDied):
                await file.read()
            with pytest.raises(TaskLost):
                await tasks[1].list_folder("/")
            late = scene.give("work")
            with pytest.raises(TaskLost):
                await late.result()
            assert not scene.proxy.is_busy

    run(body())


async def _read(reader: LogReader) -> bytes:
    return b"".join([piece async for piece in reader])
