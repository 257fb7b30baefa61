"""The whole conversation about one task, request by request, as guests are written for it."""

from __future__ import annotations

import asyncio
import json

import pytest

from plugin_host.errors import ArtifactNotFound, FolderNotFound
from plugin_host.task.task import Task
from tests.guest.place import Place, serving
from tests.run import Run


async def log_of(task: Task) -> bytes:
    return b"".join([chunk async for chunk in task.log()])


async def replied(place: Place, action: str, body: bytes, **headers: str) -> int:
    return (await place.ask("POST", f"reply?id={action}", body, **headers)).status


def test_meta_service(run: Run) -> None:
    async def body() -> None:
        async with serving("go", "test", env={"A": "1"}) as place:
            task = place.task
            answer = await place.ask("GET", "execute")
            assert (answer.status, answer.json) == (200, {"env": {"A": "1"}, "command": ["go", "test"]})
            assert "content-type" not in answer.headers
            assert task.state == "running"
            answer = await place.ask("POST", "log", b"Hello World")
            assert (answer.status, answer.body) == (200, b"")
            assert (await place.ask("PUT", "success")).status == 200
            assert (await place.ask("PUT", "success")).status == 200
            refused = await place.ask("PUT", "failed")
            assert (refused.status, refused.code) == (409, "ResourceConflict")
            result = await task.result()
            assert (result.success, result.code, result.reason) == (True, None, "")
            assert await log_of(task) == b"Hello World"

    run(body())


def test_actions_are_answered_also_after_the_result(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            assert (await place.ask("PUT", "failed")).status == 200
            asked = asyncio.create_task(place.task.get_artifact("/home/worker/result.txt"))
            action = await place.poll()
            assert action == {
                "id": action["id"],
                "type": "get-artifact",
                "path": "/home/worker/result.txt",
                "command": None,
                "tty": False,
            }
            sent = asyncio.create_task(replied(place, action["id"], b"hello-world"))
            async with await asked as artifact:
                assert (artifact.size, await artifact.read()) == (11, b"hello-world")
            assert await sent == 200

            missing = asyncio.create_task(place.task.get_artifact("/missing"))
            action = await place.poll()
            headers = {"X_Taskcluster_Worker_Error": "file-not-found"}
            assert await replied(place, action["id"], b"", **headers) == 200
            with pytest.raises(ArtifactNotFound) as caught:
                await missing
            assert caught.value.path == "/missing"

            listed = asyncio.create_task(place.task.list_folder("/home/worker"))
            action = await place.poll()
            assert (action["type"], action["path"]) == ("list-folder", "/home/worker")
            told = json.dumps({"files": ["/home/worker/b", "/home/worker/a/c"], "notFound": False}).encode()
            assert await replied(place, action["id"], told, Content_Type="application/json") == 200
            assert [entry.path for entry in await listed] == ["/home/worker/a/c", "/home/worker/b"]

            listed = asyncio.create_task(place.task.list_folder("/missing"))
            action = await place.poll()
            told = b'{"files": null, "notFound": true}'
            assert await replied(place, action["id"], told, Content_Type="application/json") == 200
            with pytest.raises(FolderNotFound):
                await listed

    run(body())
