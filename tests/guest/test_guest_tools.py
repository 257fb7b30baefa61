"""A whole guest, a process of its own with a program of its own, and whole tasks."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from plugin_host import Session
from plugin_host.errors import ArtifactNotFound, FolderNotFound, IsFolder
from plugin_host.exec.viewer import Output
from plugin_host.task.task import Task
from tests.guest.place import serving
from tests.run import Run
from tests.source import ROOT

pytestmark = pytest.mark.edges


@asynccontextmanager
async def guest(
    *command: str, path: str | None = None, configuration: dict[str, Any] | None = None, **given: Any
) -> AsyncIterator[Task]:
    """A task, and a guest that works on it."""
    async with serving(*command, path=path, **given) as place:
        where = path or f"127.0.0.1:{place.server.port}"
        words = ["-m", "tests.guest.tools", where, json.dumps(configuration or {})]
        process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT)
        try:
            yield place.task
        finally:
            process.kill()
            await process.wait()


async def log_of(task: Task) -> bytes:
    return b"".join([data async for data in task.log()])


def test_guest_tools_success(run: Run) -> None:
    async def body() -> None:
        script = 'echo "$GREETING $NAME $OTHER"'
        configuration = {
            "entrypoint": ["sh", "-c"],
            "env": {"GREETING": "hello", "NAME": "nobody", "OTHER": "!"},
        }
        async with guest(script, env={"NAME": "world"}, configuration=configuration) as task:
            result = await task.result()
            assert (result.success, result.signal, result.reason) == (True, None, "")
            assert result.started is not None
            assert await log_of(task) == b"hello world !\n"

    run(body())


def test_guest_tools_failed(run: Run, sockets: str) -> None:
    async def body() -> None:
        path = f"{sockets}/tools-{os.getpid()}.sock"
        async with guest("sh", "-c", "echo bad; exit 3", path=path) as task:
            result = await task.result()
            assert (result.success, result.code) == (False, 3)
            assert await log_of(task) == b"bad\n"

    run(body())


def test_guest_tools_cannot_start(run: Run) -> None:
    async def body() -> None:
        async with guest("no-such-program") as task:
            result = await task.result()
            assert (result.success, result.code, result.reason) == (False, 127, "it could not be started")

    run(body())


def test_guest_tools_live_log(run: Run, tmp_path: Path) -> None:
    fifo = tmp_path / "seen"
    os.mkfifo(fifo)

    async def body() -> None:
        async with guest("sh", "-c", f"echo first; cat {fifo}; echo last") as task:
            reader = task.log()
            assert await anext(reader) == b"first\n"  # before the task may go on
            await asyncio.to_thread(fifo.write_text, "seen\n")
            assert b"".join([data async for data in reader]) == b"seen\nlast\n"
            assert (await task.result()).success

    run(body())


def test_guest_tools_kill(run: Run) -> None:
    async def body() -> None:
        async with guest("sh", "-c", "echo up; sleep 1000 & wait") as task:
            assert await anext(task.log()) == b"up\n"
            assert await task.kill() == "killed"
            result = await task.result()
            assert (result.success, result.signal) == (False, "SIGTERM")
            assert await task.kill() == "ended"

    run(body())


def test_guest_tools_time_limit(run: Run) -> None:
    async def body() -> None:
        async with guest("sleep", "1000", timeout=0.05) as task:
            result = await task.result()
            assert (result.success, result.timed_out) == (False, True)
            # A kill that comes before the program is remembered, and is no request then.
            assert result.signal in (signal.SIGTERM.name, signal.SIGKILL.name)

    run(body())


async def output_of(session: Session) -> dict[str, bytes]:
    found = {"stdout": bytearray(), "stderr": bytearray()}
    async with await session.attach() as viewer:
        async for piece in viewer:
            assert isinstance(piece, Output)
            found[piece.stream] += piece.data
    return {name: bytes(data) for name, data in found.items()}


@pytest.mark.deadline(60)
def test_guest_tools_processing_actions(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "hello.txt").write_text("hello-world")
    (tmp_path / "sub" / "other.txt").write_text("other")

    async def body() -> None:
        async with guest("true") as task:
            assert (await task.result()).success
            async with await task.get_artifact(str(tmp_path / "hello.txt")) as artifact:
                assert (artifact.size, await artifact.read()) == (11, b"hello-world")
            with pytest.raises(ArtifactNotFound):
                await task.get_artifact(str(tmp_path / "missing"))
            with pytest.raises(IsFolder):
                await task.get_artifact(str(tmp_path))
            listed = [entry.path for entry in await task.list_folder(str(tmp_path))]
            assert listed == [f"{tmp_path}/hello.txt", f"{tmp_path}/sub/other.txt"]
            with pytest.raises(FolderNotFound):
                await task.list_folder(str(tmp_path / "missing"))
            assert await task.list_folder(str(tmp_path / "empty")) == []
            await say_hello(task)
            await pipe_much(task)
            await leave_terminal(task)
            await fail_to_start(task)
            await close_while_it_runs(task)

    run(body())


async def say_hello(task: Task) -> None:
    session = await task.open_shell(tty=False)
    await session.write(b"echo hello\n")
    await session.close_stdin()
    assert await output_of(session) == {"stdout": b"hello\n", "stderr": b""}
    assert (await session.wait()).code == 0


async def pipe_much(task: Task) -> None:
    for size, command, name in (
        (42 * 1024 * 1024 + 7, ["cat"], "stdout"),
        (4 * 1024 * 1024 + 37, ["sh", "-c", "cat 1>&2"], "stderr"),
    ):
        session = await task.open_shell(command, tty=False)
        block = os.urandom(1024 * 1024)

        async def write(session: Session = session, size: int = size, block: bytes = block) -> str:
            digest = hashlib.sha256()
            for begin in range(0, size, len(block)):
                data = block[: size - begin]
                digest.update(data)
                await session.write(data)
            await session.close_stdin()
            return digest.hexdigest()

        writing = asyncio.create_task(write())
        seen, count = hashlib.sha256(), 0
        async with await session.attach() as viewer:
            async for piece in viewer:
                assert isinstance(piece, Output)
                assert piece.stream == name
                seen.update(piece.data)
                count += len(piece.data)
        assert (count, seen.hexdigest()) == (size, await writing)
        assert (await session.wait()).code == 0


async def leave_terminal(task: Task) -> None:
    session = await task.open_shell(tty=True, rows=31, cols=97)
    await session.write(b"stty size; exit 0\n")  # its input stays open
    assert b"31 97" in (await output_of(session))["stdout"]
    assert (await session.wait()).code == 0


async def fail_to_start(task: Task) -> None:
    session = await task.open_shell(["no-such-program"], tty=False)
    assert b"no-such-program" in (await output_of(session))["stdout"]
    assert (await session.wait()).code == 127


async def close_while_it_runs(task: Task) -> None:
    session = await task.open_shell(["sleep", "1000"], tty=False)
    await session.close()
    assert (await session.wait()).code == 1  # what the guest says of a program that was killed
