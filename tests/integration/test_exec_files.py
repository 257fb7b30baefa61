"""Handlers that give files or a Popen: bytes both ways, and what is said of what is no file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plugin_host import TerminalError
from tests.run import Run
from tests.session import Reader, is_alive, read, runner, sh
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

FILES = """
    import asyncio, io, os, socket, subprocess, threading

    class Slow:
        def __init__(self, pieces):
            self.pieces = list(pieces)
        def read(self, size):
            return self.pieces.pop(0) if self.pieces else b""
        def close(self):
            closed.append(self)

    class Broken:
        def read(self, size):
            raise sdk.exec.ExecError("Broken", "it broke", "mend it", retryable=False)

    closed = []

    def piped(data):
        reading, writing = os.pipe()
        def write():
            with open(writing, "wb") as file:
                file.write(data)
        threading.Thread(target=write).start()
        return open(reading, "rb")

    def two(ctx, opts):
        return MAKE[opts.params["kind"]]()

    def echoing(ctx, opts):
        ours, theirs = socket.socketpair()
        def echo():
            with theirs:
                while data := theirs.recv(4096):
                    theirs.sendall(data)
        threading.Thread(target=echo).start()
        file = ours.makefile("rwb", buffering=0)
        ours.close()
        return file, file, None

    MAKE = {
        "bytes": lambda: (io.BytesIO(b"out"), io.BytesIO(b"err")),
        "pipes": lambda: (piped(b"o" * 500_000), piped(b"e" * 500_000)),
        "file": lambda: (open(__file__, "rb"), None),
        "object": lambda: (Slow([b"one", b"two"]), None),
        "list": lambda: [io.BytesIO(b"out"), io.BytesIO(b"err")],
        "nothing": lambda: (None, None),
        "descriptor": lambda: (os.open(__file__, os.O_RDONLY), None),
        "broken": lambda: (Broken(), io.BytesIO(b"err")),
        "text": lambda: (io.StringIO("text"), None),
        "one": lambda: (io.BytesIO(b"out"),),
        "four": lambda: (None, None, None, None),
        "none": lambda: None,
        "number": lambda: 7,
        "string": lambda: "ls",
        "words": lambda: ["ls", "-l", "-a", "-h"],
        "closed": lambda: (closed_file(), None),
        "strings": lambda: ("out", "err"),
        "write_end": lambda: (open(os.devnull, "wb"), None),
    }

    def closed_file():
        file = io.BytesIO()
        file.close()
        return file

    async def two_async(ctx, opts):
        await asyncio.sleep(0)
        return MAKE[opts.params["kind"]]()

    def popen(ctx, opts):
        return subprocess.Popen(opts.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **opts.params)

    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
        sdk.exec.Handler("two", command_handler=two),
        sdk.exec.Handler("two_async", command_handler=two_async),
        sdk.exec.Handler("echoing", session_handler=echoing),
        sdk.exec.Handler("popen", session_handler=popen),
    ]))
"""


@pytest.mark.parametrize("resource", ["two", "two_async"])
def test_files_of_a_handler_are_the_sessions_output(run: Run, tmp_path: Path, resource: str) -> None:
    async def body() -> None:
        async with runner(tmp_path, FILES) as host:
            source = (tmp_path / "plugins/desk/desk_plugin.py").read_bytes()
            for kind, stdout, stderr in (
                ("bytes", b"out", b"err"),
                ("list", b"out", b"err"),
                ("pipes", b"o" * 500_000, b"e" * 500_000),
                ("object", b"onetwo", b""),
                ("nothing", b"", b""),
                ("file", source, b""),
                ("descriptor", source, b""),
            ):
                session = await host.exec("desk", resource=resource, tty=False, params={"kind": kind})
                reader = await read(session)
                assert (reader.stdout, reader.stderr) == (stdout, stderr), kind
                exit = await session.wait()
                assert (exit.code, exit.error) == (0, None)

    run(body())


def test_files_of_a_handler_take_input_and_its_end(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, FILES) as host:
            session = await host.exec("desk", resource="echoing", tty=False)
            reader = Reader(await session.attach())
            sent = bytes(range(256)) * 4000
            writing = asyncio.ensure_future(session.write(sent))
            assert await reader.count(len(sent)) == sent
            await writing
            await session.close_stdin()
            await reader.rest()
            assert (await session.wait()).code == 0
            # Without a file for it there is no input.
            session = await host.exec("desk", resource="two", tty=False, params={"kind": "pipes"})
            await read(session)

    run(body())


def test_popen_of_a_handler_is_its_process(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with runner(tmp_path, FILES) as host:
            session = await host.exec("desk", sh("cat; echo err >&2; exit 5"), resource="popen", tty=False)
            await session.write(b"through a Popen")
            await session.close_stdin()
            reader = await read(session)
            assert (reader.stdout, reader.stderr) == (b"through a Popen", b"err\n")
            assert (await session.wait()).code == 5
            # It belongs to the session with all that it starts, in whatever group it is.
            for params in ({}, {"start_new_session": True}):
                script = sh("sleep 60 & echo $!; exec sleep 60")
                session = await host.exec("desk", script, resource="popen", tty=False, params=params)
                async with await session.attach() as viewer:
                    child = int(await Reader(viewer).until(b"\n"))
                pid = (await session.get()).pid
                assert pid is not None
                await session.close()
                assert (await session.wait()).signal == "SIGTERM"
                assert not is_alive(pid)
                await wait_until.aio(lambda: not is_alive(child))  # noqa: B023

    run(body())


def test_popen_that_had_ended_before_has_its_status_and_output(run: Run, tmp_path: Path) -> None:
    code = """
        import subprocess

        @plugin.exec("ended")
        def ended(ctx, opts):
            process = subprocess.Popen(["sh", "-c", "echo out; exit 5"], stdout=subprocess.PIPE)
            process.wait()
            return process
    """

    async def body() -> None:
        async with runner(tmp_path, code) as host:
            session = await host.exec("desk", resource="ended", tty=False)
            assert (await read(session)).stdout == b"out\n"
            assert (await session.wait()).code == 5

    run(body())


def test_what_a_reading_file_raises_ends_the_session_with_its_words(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, FILES) as host:
            session = await host.exec("desk", resource="two", tty=False, params={"kind": "broken"})
            reader = await read(session)
            assert reader.stderr == b"err"
            error = (await session.wait()).error
            assert error is not None
            assert (error.title, error.message, error.suggestion) == ("Broken", "it broke", "mend it")
            assert not error.retryable

    run(body())


@pytest.mark.parametrize("resource", ["two", "two_async"])
def test_wrong_result_is_explained_and_leaves_nothing(run: Run, tmp_path: Path, resource: str) -> None:
    shapes = ["one", "four", "none", "number", "string", "words"]
    files = ["text", "closed", "strings", "write_end"]

    async def body() -> None:
        async with runner(tmp_path, FILES) as host:
            for reason, kinds in (("bad_result", shapes), ("bad_file", files)):
                for kind in kinds:
                    with pytest.raises(TerminalError) as caught:
                        await host.exec("desk", resource=resource, tty=False, params={"kind": kind})
                    assert caught.value.data["reason"] == reason, kind
                    assert len(str(caught.value)) < 500
            assert await host.sessions() == []

    run(body())
