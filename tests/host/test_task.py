"""A task between its embedder and a worker that is no plugin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from plugin_host.errors import (
    CallFailed,
    InvalidPayload,
    NoSuchEndPoint,
    ResourceConflict,
    TaskLost,
    TaskNotFound,
)
from plugin_host.event import HostEvent, TaskChanged
from plugin_host.task.state import Outcome
from plugin_host.task.task import Task
from plugin_host.task.tasks import Tasks
from tests.run import Run
from tests.wait import WaitUntil

WELL = Outcome(True, code=0)
KILLED = Outcome(False, signal="SIGTERM", reason="terminated")


class Worker:
    """Remembers what it was asked; kills by reporting."""

    def __init__(self, task: Task, *, answer: str = "killed", kills: bool = True) -> None:
        self.task = task
        self.kills = kills
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []
        self.error: Exception | None = None

    async def list_folder(self, task: str, path: Any, recursive: bool) -> Any:
        self.asked.append(("list", task, path, recursive))
        return []

    async def get_artifact(self, task: str, path: Any) -> Any:
        self.asked.append(("get", task, path))

    async def open_shell(self, task: str, command: Any, **given: Any) -> Any:
        self.asked.append(("shell", task, command, given["tty"]))

    async def kill(self, task: str, grace: float) -> str:
        self.asked.append(("kill", task, grace))
        if self.error is not None:
            raise self.error
        if self.kills:
            self.task.report(KILLED)
        return self.answer

    async def close(self, task: str) -> None:
        self.asked.append(("close", task))


class Scene:
    """Tasks, and the events they made."""

    def __init__(self) -> None:
        self.events: list[HostEvent] = []
        self.tasks = Tasks(lambda plugin: pytest.fail(plugin), self.events.append)

    def claimed(self, *, start: bool = True, **given: Any) -> tuple[Task, Worker]:
        task = self.tasks.offer(["work"], **given)
        worker = Worker(task)
        task.claim(worker)
        if start:
            task.start()
        return task, worker

    def states(self) -> list[str]:
        return [event.state for event in self.events if isinstance(event, TaskChanged)]


@pytest.fixture
def scene() -> Scene:
    return Scene()


Body = Callable[[], Awaitable[None]]


def test_result_comes_with_the_whole_log_and_every_move_is_told(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task, _ = scene.claimed(id="one", labels={"a": "b"})
        reader = task.log()
        await task.feed(b"hello ")
        task.report(WELL, 11)
        waiting = asyncio.create_task(task.result())
        await asyncio.sleep(0)
        assert (task.state, waiting.done()) == ("reported", False)
        await task.feed(b"world")
        result = await waiting
        assert (result.success, result.code, result.signal, result.timed_out) == (True, 0, None, False)
        assert result.started is not None
        assert result.started <= result.ended
        assert [piece async for piece in reader] == [b"hello world"]
        assert task.info.result == result
        assert (task.info.log_bytes, task.info.labels, task.plugin) == (11, {"a": "b"}, "")
        await task.close()
        assert scene.states() == ["pending", "offered", "running", "reported", "ended", "closed"]

    run(body())


def test_first_result_wins_and_is_repeated_without_harm(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task, _ = scene.claimed()
        task.report(WELL)
        task.report(WELL)
        with pytest.raises(ResourceConflict):
            task.report(KILLED)
        assert (await task.result()).success
        await task.feed(b"late")
        assert task.info.log_bytes == 0

    run(body())


def test_log_that_nobody_reads_never_holds_the_result_back(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task, _ = scene.claimed()
        for _ in range(30):
            await task.feed(bytes(100_000))
        task.report(WELL)
        assert (await task.result()).success
        assert task.info.log_start == 2_000_000

    run(body())


def test_slow_reader_holds_its_own_task_up_and_no_other(run: Run, scene: Scene) -> None:
    async def body() -> None:
        slow, _ = scene.claimed()
        other, _ = scene.claimed()
        reader = slow.log()

        async def feed(task: Task) -> None:
            for number in range(30):
                await task.feed(bytes([number]) * 100_000)
            task.report(WELL)

        feeding = asyncio.create_task(feed(slow))
        await feed(other)
        assert (await other.result()).success
        assert not feeding.done()
        assert slow.info.log_bytes <= 1_100_000
        data = b"".join([piece async for piece in reader])
        assert data == b"".join(bytes([number]) * 100_000 for number in range(30))
        await feeding

    run(body())


def test_kill_of_what_no_worker_has_ends_it(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task = scene.tasks.offer(["work"])
        assert await task.kill() == "killed"
        result = await task.result()
        assert (result.success, result.started) == (False, None)
        assert "before" in result.reason
        assert await task.kill() == "ended"
        with pytest.raises(ResourceConflict):
            task.claim(Worker(task))

    run(body())


def test_kill_is_remembered_until_something_runs(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task, worker = scene.claimed(start=False)
        worker.error = NoSuchEndPoint("this worker kills nothing")
        assert await task.kill(grace=2) == "remembered"
        assert task.grace == 2
        assert task.start()
        with pytest.raises(NoSuchEndPoint):
            await task.kill()

    run(body())


@pytest.mark.parametrize("path", ["etc", "", "./x", b"etc", "/a\0b"])
def test_path_that_is_not_absolute_never_reaches_the_worker(
    run: Run, scene: Scene, path: str | bytes
) -> None:
    async def body() -> None:
        task, worker = scene.claimed()
        with pytest.raises(InvalidPayload, match="no absolute path"):
            await task.list_folder(path)
        with pytest.raises(InvalidPayload, match="no absolute path"):
            await task.get_artifact(path)
        assert worker.asked == []

    run(body())


def test_task_that_was_given_back_is_anybody_elses(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task, _ = scene.claimed(start=False)
        task.decline()
        assert task.state == "pending"
        asking = asyncio.create_task(task.list_folder("/"))
        await asyncio.sleep(0)
        other = Worker(task)
        task.claim(other)
        task.start()
        await asking
        assert other.asked == [("list", task.id, "/", True)]
        with pytest.raises(ResourceConflict):
            task.decline()
        killed, _ = scene.claimed(start=False)
        killed._state.kill()
        killed.decline()
        assert not (await killed.result()).success

    run(body())


@pytest.mark.parametrize("answer", ["killed", "ended"])
def test_task_whose_time_is_over_is_killed_and_its_result_says_so(
    run: Run, scene: Scene, answer: str
) -> None:
    async def body() -> None:
        task, worker = scene.claimed(timeout=0.01)
        worker.kills = answer == "killed"
        worker.answer = answer
        if answer == "ended":
            while not worker.asked:  # noqa: ASYNC110 - the timer is what is waited for
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
            task.report(WELL)
        result = await task.result()
        assert result.timed_out == (answer == "killed")
        assert result.success == (answer == "ended")
        assert ("timeout of 0.01 s: terminated" in result.reason) == (answer == "killed")

    run(body())


def test_time_of_a_task_counts_also_where_no_start_is_told(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task, worker = scene.claimed(start=False, timeout=0.01)
        assert (await task.result()).timed_out
        assert worker.asked == [("kill", task.id, 5.0)]
        declined, worker = scene.claimed(start=False, timeout=0.02)
        declined.decline()
        await asyncio.sleep(0.04)
        assert (declined.state, worker.asked) == ("pending", [])

    run(body())


def test_success_of_a_program_that_was_killed_for_its_time_is_none(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task, worker = scene.claimed(timeout=0.01)
        worker.kills = False
        while not worker.asked:  # noqa: ASYNC110 - the timer is what is waited for
            await asyncio.sleep(0.001)
        task.report(WELL)
        result = await task.result()
        assert (result.success, result.timed_out, result.code) == (False, True, 0)

    run(body())


def test_time_limit_of_a_task_that_ended_in_time_is_forgotten(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task, worker = scene.claimed(timeout=0.02)
        task.report(WELL)
        await asyncio.sleep(0.05)
        assert worker.asked == []
        assert (await task.result()).success

    run(body())


def test_worker_is_asked_until_the_task_is_closed(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task, worker = scene.claimed(id="t")
        task.report(WELL)
        await task.list_folder("/a", recursive=False)
        await task.get_artifact("/a/b")
        await task.open_shell(["sh"], tty=False)
        assert scene.tasks.get("t") is task
        await asyncio.gather(task.close(), task.close())
        assert worker.asked == [
            ("list", "t", "/a", False),
            ("get", "t", "/a/b"),
            ("shell", "t", ["sh"], False),
            ("close", "t"),
        ]
        with pytest.raises(ResourceConflict, match="closed"):
            await task.get_artifact("/a/b")
        with pytest.raises(TaskNotFound):
            scene.tasks.get("t")
        assert scene.tasks.list() == []
        assert (await task.result()).success

    run(body())


def test_close_kills_what_runs(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task, worker = scene.claimed(id="t")
        async with task:
            pass
        assert worker.asked == [("kill", "t", 5.0), ("close", "t")]
        assert (await task.result()).signal == "SIGTERM"
        pending = scene.tasks.offer(["work"])
        asking = asyncio.create_task(pending.list_folder("/"))
        await asyncio.sleep(0)
        await pending.close()
        assert not (await pending.result()).success
        with pytest.raises(ResourceConflict, match="closed"):
            await asking

    run(body())


def test_close_of_what_cannot_be_killed_loses_it(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task, worker = scene.claimed()
        worker.error = CallFailed("no permission")
        await task.close()
        with pytest.raises(TaskLost, match="could not be killed: no permission"):
            await task.result()
        assert ("close", task.id) in worker.asked

    run(body())


def test_loss_of_the_worker_is_told_to_everybody_and_no_result_made_up(
    run: Run, scene: Scene, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        task, _ = scene.claimed()
        await task.feed(b"last words")
        reader = task.log()
        waiting = [asyncio.create_task(task.result()) for _ in range(2)]
        await asyncio.sleep(0)
        task.lose("its machine was switched off")
        for one in waiting:
            with pytest.raises(TaskLost, match="switched off") as caught:
                await one
            assert caught.value.task == task.id
            assert caught.value.retryable
        assert await anext(reader) == b"last words"
        for ask in (lambda: anext(reader), task.result, lambda: task.get_artifact("/a")):
            with pytest.raises(TaskLost, match="switched off"):
                await ask()
        task.lose("again")
        with pytest.raises(ResourceConflict):
            task.report(WELL)
        assert await task.kill() == "ended"
        await task.close()

    run(body())


def test_loss_of_the_worker_after_the_result_leaves_the_result(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task, _ = scene.claimed()
        task.report(WELL)
        task.lose("it is gone")
        assert (await task.result()).success
        with pytest.raises(TaskLost, match="no worker any more: it is gone"):
            await task.list_folder("/")

    run(body())


def test_ids_are_one_tasks_each_and_the_end_of_the_host_loses_all(run: Run, scene: Scene) -> None:
    async def body() -> None:
        task = scene.tasks.offer(["work"], id="t")
        with pytest.raises(ResourceConflict, match="'t'"):
            scene.tasks.offer(["work"], id="t")
        with pytest.raises(InvalidPayload):
            task.log(offset=3)
        with pytest.raises(ResourceConflict, match="no worker yet"):
            await task.feed(b"x")
        scene.tasks.close()
        with pytest.raises(TaskLost, match="host was closed"):
            await task.result()

    run(body())
