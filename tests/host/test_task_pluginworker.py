"""What is asked of a plugin about its tasks: files, folders, shells, and their ends."""

from __future__ import annotations

import asyncio

import pytest

from plugin_host.errors import (
    ArtifactDamaged,
    ArtifactNotFound,
    CallFailed,
    FileAccessError,
    TaskLost,
)
from plugin_host_sdk.errors import ArtifactNotFound as SdkArtifactNotFound
from plugin_host_sdk.events import RequestReceived
from tests.run import Run
from tests.tasklink import tasked

MIB = 1 << 20


def test_file_arrives_whole_and_after_the_result(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work", id="t")
            await scene.taken()
            await scene.send("success", task="t", log_bytes=0)
            await task.result()
            data = bytes(range(256)) * (3 * MIB // 256)
            serving = asyncio.create_task(scene.serve_file(data))
            async with await task.get_artifact("/out/file") as file:
                assert (file.size, file.mode, file.mtime) == (len(data), 0o600, 1.5)
                assert await file.read() == data
            await serving
            for lie in ({"sha256": "0" * 64}, {"size": 2}):
                serving = asyncio.create_task(scene.serve_file(b"abc", **lie))
                with pytest.raises(ArtifactDamaged):
                    await (await task.get_artifact("/out/file")).read()
                await serving

    run(body())


def test_path_that_is_no_text_travels_as_bytes(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work", id="t")
            await scene.taken()
            listing = asyncio.create_task(task.list_folder(b"/\xff", recursive=False))
            asked = await scene.plugin.request("metadata.list_folder")
            assert (asked.params["path"], asked.params["raw"]) == ("/\\xff", b"/\xff")
            await scene.plugin.answer(asked.msgid, {"entries": [], "more": False})
            assert await listing == []

    run(body())


def test_file_that_cannot_be_had_is_an_error_of_its_kind(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work", id="t")
            await scene.taken()
            getting = asyncio.create_task(task.get_artifact("/no"))
            asked = await scene.plugin.request("metadata.get_artifact")
            error = SdkArtifactNotFound("there is no /no", data={"path": "/no"})
            await scene.plugin.send(scene.plugin.connection.send_error(asked.msgid, error.to_map()))
            with pytest.raises(ArtifactNotFound) as caught:
                await getting
            assert caught.value.path == "/no"
            # And one that breaks off ends with what the plugin says.
            getting = asyncio.create_task(task.get_artifact("/bad"))
            asked = await scene.plugin.request("metadata.get_artifact")
            stream = asked.params["stream"]
            scene.streams.open_send(stream, asked.params["window"])
            await scene.plugin.answer(asked.msgid, {"size": 10})
            await scene.write(stream, b"abc")
            await scene.end(stream, {"name": "metadata.file_unreadable", "message": "input/output error"})
            file = await getting
            with pytest.raises(FileAccessError, match="input/output error"):
                await file.read()

    run(body())


def test_file_that_nobody_wants_any_more_is_stopped(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work", id="t")
            await scene.taken()
            # Given up while it is asked for.
            getting = asyncio.create_task(task.get_artifact("/a"))
            asked = await scene.plugin.request("metadata.get_artifact")
            getting.cancel()
            await asyncio.wait([getting])
            await scene.ping()
            scene.streams.open_send(asked.params["stream"], 10)
            assert scene.streams.sending[asked.params["stream"]].stopped
            # And in the middle.
            getting = asyncio.create_task(task.get_artifact("/a"))
            asked = await scene.plugin.request("metadata.get_artifact")
            stream = asked.params["stream"]
            scene.streams.open_send(stream, asked.params["window"])
            await scene.plugin.answer(asked.msgid, {"size": 10})
            async with await getting:
                pass
            await scene.stopped(stream)
            assert scene.link.streams._receivers.keys() == {1}  # the log

    run(body())


def test_folder_comes_in_parts(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work", id="t")
            await scene.taken()
            listing = asyncio.create_task(task.list_folder("/d"))
            for after, names, more in ((None, "ab", True), (b"/d/b", "c", False)):
                asked = await scene.plugin.request("metadata.list_folder")
                assert asked.params == {"task": "t", "path": "/d", "recursive": True, "after": after}
                entries = [{"path": f"/d/{name}", "type": "file", "size": 1} for name in names]
                await scene.plugin.answer(asked.msgid, {"entries": entries, "more": more})
            assert [entry.path for entry in await listing] == ["/d/a", "/d/b", "/d/c"]
            listing = asyncio.create_task(task.list_folder("/d"))
            asked = await scene.plugin.request("metadata.list_folder")
            await scene.plugin.answer(asked.msgid, {"entries": [], "more": True})
            with pytest.raises(CallFailed, match="in empty parts"):
                await listing

    run(body())


def test_shell_is_a_session_and_ends_with_the_task(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work", id="t")
            await scene.taken()
            opening = asyncio.create_task(task.open_shell(["sh", "-l"], tty=False, env={"A": "1"}))
            asked = await scene.plugin.request("metadata.exec_shell")
            named = {name: asked.params[name] for name in ("task", "command", "tty", "env")}
            assert named == {"task": "t", "command": ["sh", "-l"], "tty": False, "env": {"A": "1"}}
            session = {"id": asked.params["id"], "handler": "", "tty": False}
            scene.streams.open_receive(asked.params["stdin"], 1000)
            await scene.plugin.answer(asked.msgid, {"session": session, "stdin_window": 1000})
            shell = await opening
            assert (shell.plugin, shell.id) == ("demo", asked.params["id"])
            await scene.send("success", task="t", log_bytes=0)
            await task.result()
            closing = asyncio.create_task(task.close())
            for method in ("exec.close", "metadata.close"):
                asked = await scene.plugin.request(method)
                await scene.plugin.answer(asked.msgid, {})
            await closing
            assert (await shell.wait()).reason
            assert not scene.proxy.is_busy

    run(body())


def test_close_of_a_task_ends_what_is_still_read_of_it(run: Run) -> None:
    async def body() -> None:
        async with tasked() as scene:
            task = scene.give("work", id="t")
            await scene.taken()
            await scene.send("success", task="t", log_bytes=0)
            await task.result()
            getting = asyncio.create_task(task.get_artifact("/a"))
            asked = await scene.plugin.request("metadata.get_artifact")
            stream = asked.params["stream"]
            scene.streams.open_send(stream, asked.params["window"])
            await scene.plugin.answer(asked.msgid, {"size": 10})
            reading = asyncio.create_task((await getting).read())
            closing = asyncio.create_task(task.close())
            await scene.stopped(stream)
            with pytest.raises(TaskLost, match="was closed while"):
                await reading
            # A plugin that knows nothing of it is no hindrance.
            closed: RequestReceived = await scene.plugin.request("metadata.close")
            error = CallFailed("what is that?", name="rpc.method_not_found").to_map()
            await scene.plugin.send(scene.plugin.connection.send_error(closed.msgid, error))
            await closing
            assert await scene.refused("start", task="t") == "metadata.unknown_action_id"

    run(body())
