"""What a host lists of tasks, and whose a task is whose id was another's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plugin_host.cli.tasklist import find_task
from plugin_host.errors import TaskNotFound
from plugin_host.task.task import Task
from tests.control.arena import arena
from tests.control.test_task import TASKS
from tests.run import Run

pytestmark = pytest.mark.edges


def test_long_commands_are_listed_by_their_beginning_and_told_whole_of_one_task(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            client = await scene.client()
            large = ["true", *["x" * 100_000] * 30]
            for id in "abcdef":
                await client.tasks.run("desk", large, tty=False, id=id)
            await client.tasks.run("desk", ["true", *"0" * 200], tty=False, id="many")
            *listed, many = await client.tasks.list()
            for one in listed:
                assert one.info.command == ("true", "x" * 996 + "…")
            assert (len(many.info.command), many.info.command[-1]) == (101, "0…")
            assert (await client.tasks.get("a")).info.command == tuple(large)
            for one in listed:
                await one.close()

    run(body())


def test_whole_id_is_found_without_a_list_and_a_beginning_by_one(run: Run) -> None:
    class Listed:
        asked: list[str]

        def __init__(self) -> None:
            self.asked = []

        async def list(self) -> list[Any]:
            self.asked.append("list")
            return [SimpleNamespace(id="abc"), SimpleNamespace(id="abcd")]

        async def get(self, id: str) -> str:
            self.asked.append(id)
            if id in ("abc", "abcd", "hidden"):
                return id
            raise TaskNotFound("there is none", task=id)

    async def body() -> None:
        for name, asked in (
            ("abc", ["abc"]),
            ("hidden", ["hidden"]),
            ("abcd", ["abcd"]),
        ):
            tasks = Listed()
            client: Any = SimpleNamespace(tasks=tasks)
            assert str(await find_task(client, name)) == name
            assert tasks.asked == asked
        with pytest.raises(TaskNotFound, match="no task `x`"):
            await find_task(client, "x")

    run(body())


def test_task_whose_id_was_another_tasks_belongs_to_its_client(
    tmp_path: Path, own_socket: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, goes_on = asyncio.Event(), asyncio.Event()
    close = Task.close

    async def slow(task: Task) -> None:
        await close(task)
        closed.set()
        await goes_on.wait()

    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            one, two = await scene.client(), await scene.client()
            first = await one.tasks.run("desk", ["true"], id="build")
            await first.result()
            monkeypatch.setattr(Task, "close", slow)
            closing = asyncio.create_task(first.close())
            await closed.wait()
            await two.tasks.run("desk", ["sleep", "60"], id="build")
            goes_on.set()
            await closing
            monkeypatch.undo()
            again = await two.tasks.get("build")
            assert again.mine
            await again.close()

    run(body())
