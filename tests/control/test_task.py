"""Tasks of a host, as its clients give them, look at them and own them."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from plugin_host import PluginHost, Session
from plugin_host.control import ControlClient
from plugin_host.control.claim import Share
from plugin_host.control.remotetask import RemoteTask
from plugin_host.control.remotetasks import RemoteTasks
from plugin_host.errors import (
    ArtifactNotFound,
    CallFailed,
    FolderNotFound,
    HostLost,
    InvalidPayload,
    IsFolder,
    PluginNotFound,
    ResourceConflict,
    TaskLost,
    TaskNotFound,
)
from plugin_host.task.artifact import Artifact
from plugin_host.task.pluginworker import PluginWorker
from plugin_host.task.task import Task
from plugin_host.task.tasks import Tasks
from plugin_host.task.worker import FilePath
from plugin_host_sdk.types.task import FolderEntry
from tests.control.arena import arena
from tests.run import Run
from tests.session import read, runner, sh
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

TASKS = """
    def on_task(ctx, task):
        return task.run()

    sdk.metadata.register_plugin(plugin, sdk.metadata.PluginOpts(on_task=on_task, at_once=8))
"""
MIB = 1024 * 1024


async def text(task: RemoteTask, **options: Any) -> bytes:
    """All of its log."""
    async with task.log(**options) as log:
        return b"".join([piece async for piece in log])


async def up(client: ControlClient, script: str = "exec sleep 60", **options: Any) -> RemoteTask:
    """A task that runs."""
    task = await given(client, f"echo up; {script}", **options)
    async with task.log() as log:
        assert await anext(log) == b"up\n"
    return task


async def given(client: ControlClient, script: str, **options: Any) -> RemoteTask:
    return await client.tasks.run("desk", sh(script), tty=False, **options)


def test_a_task_runs_as_on_a_host_of_ones_own(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            client = await scene.client()
            script = "echo $A in $PWD; exit 3"
            async with await given(client, script, env={"A": "a"}, cwd=tmp_path, labels={"b": "c"}) as task:
                assert await text(task, lossless=True) == f"a in {tmp_path}\n".encode()
                result = await task.result()
                assert (result.success, result.code, result.signal) == (False, 3, None)
                assert (await task.get()).result == result
                assert (task.state, task.labels, task.plugin) == ("ended", {"b": "c"}, "desk")
                assert await text(task, offset=5) == f"{tmp_path}\n".encode()
                assert await text(task, follow=False, offset=-1) == b""
                (ours,) = scene.host.tasks.list()
                assert ours.info == task.info
                assert [one.id for one in await client.tasks.list()] == [task.id]
                assert await client.tasks.list("nobody") == []
            assert scene.host.tasks.list() == []

    run(body())


def test_what_is_wrong_is_said_as_on_a_host_of_ones_own(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            client = await scene.client()
            task = await up(client, id="one")
            with pytest.raises(PluginNotFound):
                await client.tasks.run("dusk")
            with pytest.raises(ResourceConflict):
                await given(client, "true", id="one")
            with pytest.raises(InvalidPayload):
                await given(client, "true", env={"A=B": "c"})
            with pytest.raises(TypeError):
                await client.tasks.run("desk", "ls -l")
            with pytest.raises(TaskNotFound) as missing:
                await client.tasks.get("two")
            assert missing.value.task == "two"
            with pytest.raises(InvalidPayload):
                await text(task, offset=100)
            with pytest.raises(FolderNotFound):
                await task.list_folder(f"{tmp_path}/nothing")
            with pytest.raises(ArtifactNotFound):
                await task.get_artifact(f"{tmp_path}/nothing")
            with pytest.raises(IsFolder):
                await task.get_artifact(str(tmp_path))
            assert not client.tasks._downloads
            assert not client.tasks._drains

    run(body())


def test_a_kill_and_a_timeout_end_it(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            client = await scene.client()
            task = await given(client, "echo up; exec sleep 60")
            log = task.log()
            assert await anext(log) == b"up\n"
            assert await task.kill() == "killed"
            assert (await task.result()).signal == "SIGTERM"
            assert await task.kill(grace=0) == "ended"
            late = await given(client, "exec sleep 60", timeout=0.1)
            result = await late.result()
            assert (result.timed_out, result.success) == (True, False)

    run(body())


def test_files_come_whole_in_bounded_memory_and_listings_in_order(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    data = os.urandom(3 * MIB + 7)
    folder = tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    (folder / "big").write_bytes(data)
    (folder / "empty").touch()
    os.close(os.open(os.fsencode(folder) + b"/\xff", os.O_CREAT))
    for number in range(2_000):
        (folder / "deep" / f"{number:04}").touch()

    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            client = await scene.client()
            task = await up(client)
            async with await task.get_artifact(f"{folder}/big") as artifact:
                assert artifact.size == len(data)
                await artifact.save(tmp_path / "copy")
                assert artifact.sha256 == hashlib.sha256(data).hexdigest()
            assert (tmp_path / "copy").read_bytes() == data
            async with await task.get_artifact(os.fsencode(folder) + b"/\xff") as artifact:
                assert await artifact.read() == b""
            entries = await task.list_folder(str(folder))
            (ours,) = scene.host.tasks.list()
            assert entries == await ours.list_folder(str(folder))
            assert len(entries) == 2_004
            assert [one.type for one in await task.list_folder(str(folder), recursive=False)].count(
                "folder"
            ) == 1
            assert not client.tasks._downloads

    run(body())


def test_a_shell_beside_a_task_is_a_session_like_any_other(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            client, other = await scene.client(), await scene.client()
            task = await given(client, "true")
            await task.result()
            shell = await task.open_shell(["cat"], tty=False)
            seen = await other.session(shell.id)
            reading = asyncio.create_task(read(seen))
            await shell.write(b"hi\n")
            await shell.close_stdin()
            assert (await reading).stdout == b"hi\n"
            assert (await shell.wait()).code == 0
            doomed = await task.open_shell(["sleep", "60"])
            await task.close()
            assert (await doomed.wait()).code != 0
            with pytest.raises(TaskNotFound):
                await task.open_shell()

    run(body())


class Elsewhere:
    """A worker that is no plugin: what it opens, another host runs."""

    def __init__(self, host: PluginHost) -> None:
        self.host = host

    async def list_folder(self, task: str, path: FilePath, recursive: bool) -> list[FolderEntry]:
        return [FolderEntry(path="/a", type="file")]

    async def get_artifact(self, task: str, path: FilePath) -> Artifact:
        raise IsFolder("it is a folder", data={"path": str(path)})

    async def open_shell(self, task: str, command: Sequence[str] | None, **given: Any) -> Session:
        session = await self.host.exec("desk", command, tty=given["tty"], id=given["id"])
        session._proxy.plugin = ""
        return session

    async def kill(self, task: str, grace: float) -> str:
        return "ended"

    async def close(self, task: str) -> None:
        pass


def test_a_worker_need_not_be_a_plugin(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with runner(tmp_path / "other") as other, arena(tmp_path, own_socket) as scene:
            ours = scene.host.tasks.offer(["work"])
            ours.claim(Elsewhere(other))
            client = await scene.client()
            (task,) = await client.tasks.list()
            assert (task.plugin, task.state, task.owner, task.mine) == ("", "offered", None, False)
            shell = await task.open_shell(["cat"], tty=False)
            (listed,) = await (await scene.client()).sessions()
            assert listed.id == shell.id
            reading = asyncio.create_task(read(listed))
            await shell.write(b"hi\n")
            await shell.close_stdin()
            assert (await reading).stdout == b"hi\n"
            assert [one.path for one in await task.list_folder("/")] == ["/a"]
            with pytest.raises(IsFolder) as refused:
                await task.get_artifact("/")
            assert refused.value.path == "/"
            ours.lose("it is gone")
            with pytest.raises(TaskLost, match="it is gone"):
                await task.result()

    run(body())


# Whose it is.


@pytest.mark.parametrize("keep", [False, True])
def test_a_task_ends_with_its_client_unless_it_is_kept(
    keep: bool, tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            client, other = await scene.client(), await scene.client()
            task = await given(client, "echo up; exec sleep 60", keep=keep)
            watched = await other.tasks.get(task.id)
            log = watched.log()
            assert await anext(log) == b"up\n"
            ending = asyncio.create_task(watched.result())
            await client.close()
            if keep:
                again = await scene.client(token=client.token)
                back = await again.tasks.get(task.id)
                assert (back.mine, back.keep) == (True, True)
                await again.close()
                assert (await watched.get()).state == "running"
                await watched.close()
            assert (await ending).signal == "SIGTERM"
            await wait_until.aio(_async(lambda: scene.host.tasks.list() == []))

    run(body())


METHODS: list[tuple[str, dict[str, Any]]] = [
    ("task.get", {}),
    ("task.result", {}),
    ("task.kill", {}),
    ("task.close", {}),
    ("task.log", {"stream": 2, "window": 9}),
    ("task.artifact", {"path": "/etc/passwd", "stream": 2, "window": 9}),
    ("task.list_folder", {"path": "/", "stream": 2, "window": 9}),
    ("task.shell", {"id": "x", "stdin": 2}),
]


@pytest.mark.parametrize("share", ["owner", "token"])
def test_a_task_that_is_not_shared_is_out_of_reach_for_others(
    share: Share, tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, share=share, code=TASKS) as scene:
            there = {name for name in scene.server.methods if name.startswith("task.")}
            assert there - {name for name, _ in METHODS} == {"task.run", "task.list"}
            one, two = await scene.client(), await scene.client()
            task = await up(one)
            for method, params in METHODS:
                with pytest.raises(CallFailed) as denied:
                    await two.ask(method, {"task": task.id, **params})
                assert denied.value.name == "host.permission_denied", method
            assert await two.tasks.list() == []
            third = await scene.client(token=one.token)
            assert len(await third.tasks.list()) == (1 if share == "token" else 0)
            assert (await task.get()).state == "running"
            if share == "token":
                seen = await third.tasks.get(task.id)
                with pytest.raises(CallFailed, match="only its owner may hold it up"):
                    await text(seen, lossless=True)

    run(body())


def test_a_call_that_is_given_up_leaves_no_task(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            client = await scene.client()
            for turns in range(8):
                giving = asyncio.create_task(given(client, "exec sleep 60"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                giving.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await giving
            await wait_until.aio(_async(lambda: not client.tasks._undoing))
            assert scene.host.tasks.list() == []

    run(body())


def test_claims_on_tasks_that_the_host_has_closed_are_forgotten(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            client = await scene.client()
            for _ in range(3):
                await given(client, "true")
                for ours in scene.host.tasks.list():
                    await ours.close()
            assert len(scene.server.tasks._claims) == 1

    run(body())


# Slow clients, and ends.


def chatter(lines: int) -> str:
    """So many lines of 1,000 bytes."""
    return f"i=0; line=$(printf %0999d 0); while [ $i -lt {lines} ]; do echo $line; i=$((i+1)); done"


def test_a_client_that_does_not_read_stops_nobody_and_is_told_what_it_missed(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            owner, slow, quick = [await scene.client() for _ in range(3)]
            task = await given(owner, chatter(4_000))
            hanging = (await slow.tasks.get(task.id)).log()
            size = len(await anext(hanging))
            live = (await quick.tasks.get(task.id)).log(offset=0)
            total = 0
            async for piece in live:
                total += len(piece)
            assert total + live.missed + live.evicted == 4_000_000
            assert (await task.result()).success
            async for piece in hanging:
                size += len(piece)
            assert hanging.missed > 1_000_000
            assert size + hanging.missed == hanging.offset == 4_000_000
            assert size < 2_000_000

    run(body())


def test_an_owner_who_asks_for_it_holds_its_task_up_and_misses_nothing(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            owner = await scene.client()
            task = await given(owner, chatter(4_000))
            log = task.log(lossless=True)
            size = len(await anext(log))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await task.result()
            async for piece in log:
                size += len(piece)
            assert (size, log.missed) == (4_000_000, 0)
            assert (await task.result()).success
            dropped = await given(owner, chatter(3_000))
            await anext(dropped.log(lossless=True))  # by nobody any more
            assert (await dropped.result()).success

    run(body())


def test_a_plugin_that_dies_and_a_connection_that_ends_are_told(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    (tmp_path / "big").write_bytes(bytes(8 * MIB))

    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS, restart={"policy": "never"}) as scene:
            client, other = await scene.client(), await scene.client()
            task = await up(client)
            seen = await other.tasks.get(task.id)
            artifact = await seen.get_artifact(f"{tmp_path}/big")
            await anext(artifact)
            waiting, log = asyncio.create_task(seen.result()), seen.log()
            assert await anext(log) == b"up\n"
            await other.close()
            for work in (waiting, anext(log), artifact.read(), seen.kill()):
                with pytest.raises(HostLost):
                    await work
            lost, log = asyncio.create_task(task.result()), task.log()
            await anext(log)
            with pytest.raises(Exception, match="died"):
                await client.call("desk", "die")
            with pytest.raises(TaskLost) as caught:
                await lost
            assert caught.value.task == task.id
            assert caught.value.report is not None
            with pytest.raises(TaskLost):
                await anext(log)
            with pytest.raises(TaskLost):
                await task.list_folder("/")

    run(body())


def test_nothing_of_what_is_being_sent_outlives_its_client(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    (tmp_path / "big").write_bytes(bytes(8 * MIB))

    async def body() -> None:
        async with arena(tmp_path, own_socket, code=TASKS) as scene:
            owner, client = await scene.client(), await scene.client()
            task = await given(owner, chatter(2_000))
            await task.result()
            seen = await client.tasks.get(task.id)
            logs = [seen.log() for _ in range(64)]
            for log in logs:
                await anext(log)
            with pytest.raises(CallFailed, match="64 such streams"):
                await anext(seen.log())
            artifacts = [await seen.get_artifact(f"{tmp_path}/big") for _ in range(4)]
            artifacts[0].close()
            streams = scene.server._desks[2].link.streams
            await wait_until.aio(_async(lambda: len(streams._senders) == 67))
            await client.close()
            await wait_until.aio(_async(lambda: len(scene.server._desks) == 1))
            (worker,) = [one._worker for one in scene.host.tasks.list()]
            assert isinstance(worker, PluginWorker)
            await wait_until.aio(_async(lambda: not worker._downloads))

    run(body())


@pytest.mark.parametrize(("ours", "theirs"), [(Task, RemoteTask), (Tasks, RemoteTasks)])
def test_the_face_is_that_of_a_host_of_ones_own(ours: type, theirs: type) -> None:
    names = {
        Task: ["log", "result", "list_folder", "get_artifact", "open_shell", "kill", "close"],
        Tasks: ["run", "list", "get"],
    }
    for name in names[ours]:
        own = inspect.signature(getattr(ours, name)).parameters
        remote = inspect.signature(getattr(theirs, name)).parameters
        assert list(remote)[: len(own)] == list(own), name
        assert all(remote[one].default == own[one].default for one in own), name


def _async(condition: Any) -> Any:
    async def holds() -> bool:
        return bool(condition())

    return holds
