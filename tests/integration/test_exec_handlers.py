"""What authors write: every kind of handler, every way to end, and everything they may get wrong."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from plugin_host import CallFailed, HandlerNotFound, PluginHost, Session, TerminalError
from tests.run import Run
from tests.session import Reader, is_alive, read, runner, sh
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

# Programs to run.

SPECS = """
    from pathlib import Path

    @plugin.exec("spec")
    def spec(ctx, opts):
        return sdk.exec.ExecSpec(["sh", "-c", "pwd; echo $A $B $HOME; exit 4"], opts.params["cwd"],
                                 {"A": "1", "B": "2", "HOME": None})

    @plugin.exec("spec_async", default_command=["echo", "the default"])
    async def spec_async(ctx, opts):
        return sdk.exec.ExecSpec(opts.command)

    @plugin.exec("then")
    def then(ctx, opts, tty, resize):
        tty.write(b"first the function\\r\\n")
        return sdk.exec.ExecSpec(["sh", "-c", "stty size; read x; echo got $x; exit 4"])

    @plugin.exec("then_async")
    async def then_async(ctx, opts, tty, resize):
        tty.write(b"first the function\\r\\n")
        return sdk.exec.ExecSpec(["sh", "-c", "stty size; read x; echo got $x; exit 4"])
"""


def test_spec_is_run_with_its_folder_and_variables(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    async def body() -> None:
        async with runner(tmp_path, SPECS) as host:
            params = {"cwd": str(tmp_path)}
            for tty in (False, True):
                session = await host.exec("desk", resource="spec", tty=tty, params=params)
                expected = f"{tmp_path}\n1 2\n".encode()
                assert (await read(session)).stdout.replace(b"\r\n", b"\n") == expected
                assert (await session.wait()).code == 4
                # What the caller says counts more.
                session = await host.exec(
                    "desk", resource="spec", tty=tty, params=params, cwd=other, env={"B": "3", "HOME": "/h"}
                )
                expected = f"{other}\n1 3 /h\n".encode()
                assert (await read(session)).stdout.replace(b"\r\n", b"\n") == expected

    run(body())


def test_handler_has_what_the_caller_says(run: Run, tmp_path: Path) -> None:
    code = """
        import io, json

        @plugin.exec("tell", default_command=["the", "default"])
        def tell(ctx, opts):
            told = {"command": opts.command, "env": opts.env, "labels": opts.labels, "tty": opts.tty,
                    "params": opts.params, "resource_data": opts.resource_data, "cwd": opts.cwd,
                    "id": opts.id, "rows": opts.rows}
            return io.BytesIO(json.dumps(told).encode()), None
    """

    async def body() -> None:
        import json

        async with runner(tmp_path, code) as host:
            session = await host.exec(
                "desk",
                ["a", "b c", "ü"],
                resource="tell",
                tty=False,
                id="one",
                env={"A": "1"},
                labels={"color": "red"},
                params={"n": 1, "nested": {"list": [1, None, 2.5]}},
                resource_data={"pod": "web-0"},
                cwd="/tmp",
            )
            assert json.loads((await read(session)).stdout) == {
                "command": ["a", "b c", "ü"],
                "env": {"A": "1"},
                "labels": {"color": "red"},
                "tty": False,
                "params": {"n": 1, "nested": {"list": [1, None, 2.5]}},
                "resource_data": {"pod": "web-0"},
                "cwd": "/tmp",
                "id": "one",
                "rows": 27,
            }
            info = await session.get()
            assert (info.handler, info.labels) == ("desk/tell", {"color": "red"})
            assert info.params == {"n": 1, "nested": {"list": [1, None, 2.5]}}
            session = await host.exec("desk", resource="tell", tty=False)
            assert json.loads((await read(session)).stdout)["command"] == ["the", "default"]

    run(body())


def test_coroutine_function_may_name_a_program(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, SPECS) as host:
            for tty in (False, True):
                session = await host.exec("desk", resource="spec_async", tty=tty)
                assert (await read(session)).stdout.strip() == b"the default"
                session = await host.exec("desk", ["echo", "mine"], resource="spec_async", tty=tty)
                assert (await read(session)).stdout.strip() == b"mine"

    run(body())


@pytest.mark.parametrize("resource", ["then", "then_async"])
def test_function_of_a_terminal_may_name_what_takes_its_place(
    run: Run, tmp_path: Path, resource: str
) -> None:
    async def body() -> None:
        async with runner(tmp_path, SPECS) as host:
            session = await host.exec("desk", resource=resource, rows=11, cols=22)
            reader = Reader(await session.attach())
            await reader.until(b"first the function")
            await reader.until(b"11 22\r\n")
            await session.write(b"it\n")
            await reader.until(b"got it\r\n")
            assert (await session.wait()).code == 4
            await session.close()

    run(body())


# Functions on a terminal.

FUNCTIONS = """
    import os, sys, termios, asyncio

    def talk(tty):
        tty.write(b"name? ")
        name = tty.read(100).strip()
        tty.write(b"hello " + name + b"\\n")

    @plugin.exec("talk")
    def talk_plainly(ctx, opts, tty, resize):
        talk(tty)
        return opts.params.get("code")

    @plugin.exec("talk_async")
    async def talk_async(ctx, opts, tty, resize):
        await asyncio.to_thread(talk, tty)
        return opts.params.get("code")

    @plugin.exec("raw")
    def raw(ctx, opts, tty, resize):
        import tty as ttys
        ttys.setraw(tty.fileno())
        tty.write(b"ready")
        while (key := tty.read(1)) != b"q":
            tty.write(key.hex().encode())

    @plugin.exec("large")
    def large(ctx, opts, tty, resize):
        import tty as ttys
        ttys.setraw(tty.fileno())
        for number in range(20000):
            tty.write(b"%015d\\n" % number)
        return 3

    @plugin.exec("leaves")
    def leaves(ctx, opts, tty, resize):
        tty.write(b"going")
        sys.exit(opts.params["status"])

    @plugin.exec("detaches")
    def detaches(ctx, opts, tty, resize):
        # Closing its end itself is an author's right.
        tty.write(b"done")
        tty.close()
        return 2

    @plugin.exec("child")
    def child(ctx, opts, tty, resize):
        import subprocess
        return subprocess.call(["sh", "-c", "echo from a child; exit 8"], stdin=tty, stdout=tty, stderr=tty)
"""


@pytest.mark.parametrize("resource", ["talk", "talk_async"])
def test_function_talks_and_ends_with_what_it_returns(run: Run, tmp_path: Path, resource: str) -> None:
    async def body() -> None:
        async with runner(tmp_path, FUNCTIONS) as host:
            for given, code in ((None, 0), (0, 0), (5, 5), (255, 255), (True, 1), (False, 0)):
                session = await host.exec("desk", resource=resource, params={"code": given})
                reader = Reader(await session.attach())
                await reader.until(b"name? ")
                await session.write(b"Ada\n")
                await reader.until(b"hello Ada\r\n")
                exit = await session.wait()
                assert (exit.code, exit.signal, exit.error) == (code, None, None)
                await reader.rest()

    run(body())


def test_function_may_do_with_its_terminal_what_it_likes(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, FUNCTIONS) as host:
            session = await host.exec("desk", resource="raw")
            reader = Reader(await session.attach())
            await reader.until(b"ready")
            await session.write(b"\x03\x04\x1a\xff\x00q")
            assert (await reader.rest()).stdout == b"ready03041aff00"
            assert (await session.wait()).code == 0
            session = await host.exec("desk", resource="child")
            assert (await read(session)).stdout == b"from a child\r\n"
            assert (await session.wait()).code == 8
            session = await host.exec("desk", resource="detaches")
            assert (await read(session)).stdout == b"done"
            assert (await session.wait()).code == 2

    run(body())


def test_all_that_a_function_has_written_arrives(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, FUNCTIONS) as host:
            session = await host.exec("desk", resource="large")
            assert (await read(session)).stdout == b"".join(b"%015d\n" % n for n in range(20_000))
            assert (await session.wait()).code == 3

    run(body())


def test_sys_exit_ends_the_session_and_not_the_plugin(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, FUNCTIONS) as host:
            for status, code in ((None, 0), (0, 0), (3, 3)):
                session = await host.exec("desk", resource="leaves", params={"status": status})
                assert (await read(session)).stdout == b"going"
                assert (await session.wait()).code == code
            assert await host.call("desk", "echo", {"value": 1}) == 1

    run(body())


def test_function_that_waits_holds_nobody_else(run: Run, tmp_path: Path) -> None:
    """More of them than the plugin has workers, and the plugin goes on."""

    async def body() -> None:
        async with runner(tmp_path, FUNCTIONS) as host:
            sessions = [await host.exec("desk", resource="talk") for _ in range(40)]
            assert await host.call("desk", "echo", {"value": 1}) == 1
            for session in sessions:
                await session.write(b"Ada\n")
            for session in sessions:
                assert (await session.wait()).code == 0

    run(body())


# Files and processes.

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


# Errors of authors.


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


ERRORS = """
    import asyncio

    def known():
        raise sdk.exec.ExecError("No pod", "it is gone", "look elsewhere", False, ["get pods", "get nodes"])

    def wrapped():
        try:
            known()
        except sdk.exec.ExecError as error:
            raise RuntimeError("outer") from error

    def unknown():
        raise KeyError("pod")

    def empty():
        raise ValueError

    def missing():
        open("/no/such/file")

    def hard():
        class Odd(Exception):
            def __str__(self):
                raise RuntimeError("no text")
        raise Odd

    @plugin.exec("command")
    def command(ctx, opts):
        globals()[opts.params["kind"]]()

    @plugin.exec("command_async")
    async def command_async(ctx, opts):
        await asyncio.sleep(0)
        globals()[opts.params["kind"]]()

    @plugin.exec("terminal")
    def terminal(ctx, opts, tty, resize):
        tty.write(b"before")
        globals()[opts.params["kind"]]()

    @plugin.exec("terminal_async")
    async def terminal_async(ctx, opts, tty, resize):
        tty.write(b"before")
        globals()[opts.params["kind"]]()

    @plugin.exec("odd_result")
    def odd_result(ctx, opts, tty, resize):
        tty.write(b"before")
        return opts.params["result"]

    @plugin.exec("odd_spec")
    def odd_spec(ctx, opts, tty, resize):
        tty.write(b"before")
        return sdk.exec.ExecSpec(["no-such-program"])
"""

WORDS = [
    ("known", "No pod", "it is gone", False, ("get pods", "get nodes")),
    ("wrapped", "No pod", "it is gone", False, ("get pods", "get nodes")),
    ("unknown", "Session failed", "KeyError: 'pod'", True, ()),
    ("empty", "Session failed", "ValueError", True, ()),
    ("missing", "Session failed", "No such file or directory", True, ()),
    ("hard", "Session failed", "Odd", True, ()),
]


@pytest.mark.parametrize("resource", ["command", "command_async"])
def test_error_before_the_session_begins_is_the_callers(run: Run, tmp_path: Path, resource: str) -> None:
    async def body() -> None:
        async with runner(tmp_path, ERRORS) as host:
            for kind, title, message, retryable, commands in WORDS:
                with pytest.raises(TerminalError) as caught:
                    await host.exec("desk", resource=resource, tty=False, params={"kind": kind})
                error = caught.value
                assert title in str(error)
                assert message in str(error)
                assert error.retryable is retryable
                assert error.data["error"]["title"] == title
                assert tuple(error.data["error"]["retry_commands"]) == commands
            assert await host.sessions() == []

    run(body())


@pytest.mark.parametrize("resource", ["terminal", "terminal_async"])
def test_error_of_a_running_session_is_its_end(run: Run, tmp_path: Path, resource: str) -> None:
    async def body() -> None:
        async with runner(tmp_path, ERRORS) as host:
            for kind, title, message, retryable, commands in WORDS:
                session = await host.exec("desk", resource=resource, params={"kind": kind})
                assert (await read(session)).stdout == b"before"
                exit = await session.wait()
                assert exit.error is not None
                assert (exit.code, exit.signal) == (None, None)
                assert exit.error.title == title
                assert message in exit.error.message
                assert exit.error.retryable is retryable
                assert exit.error.retry_commands == commands
                assert title in exit.reason

    run(body())


def test_odd_result_of_a_function_is_the_end_with_an_explanation(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, ERRORS) as host:
            for result in ("text", 1.5, [1, 2], {"a": 1}):
                session = await host.exec("desk", resource="odd_result", params={"result": result})
                assert (await read(session)).stdout == b"before"
                error = (await session.wait()).error
                assert error is not None
                assert "an exit code, None or an ExecSpec" in error.message
            session = await host.exec("desk", resource="odd_spec")
            assert (await read(session)).stdout == b"before"
            error = (await session.wait()).error
            assert error is not None
            assert "no-such-program" in error.message

    run(body())


# Finding them.


async def _key_of(host: PluginHost, resource: str | None) -> str:
    session: Session = await host.exec("many", ["true"], resource=resource, tty=False)
    await session.close()
    return session.info.handler


def test_handler_is_found_by_key_resource_or_being_the_only_one(run: Run, tmp_path: Path) -> None:
    code = """
        sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
            sdk.exec.Handler("local", default_command=["sh"]),
            sdk.exec.Handler("pod", plugin="kubernetes"),
            sdk.exec.Handler("pod", plugin="podman"),
            sdk.exec.Handler("a/b"),
        ]))
    """
    write_plugin(tmp_path, "many", code)
    keys = ["kubernetes/pod", "many/a/b", "many/local", "podman/pod"]

    async def body() -> None:
        async with stage("many", dirs=[tmp_path]) as host:
            for wanted, key in (("local", "many/local"), ("a/b", "many/a/b"), ("podman/pod", "podman/pod")):
                assert await _key_of(host, wanted) == key
            for unknown in (None, "pod", "nothing", "", "many/pod", "local/"):
                with pytest.raises(HandlerNotFound) as caught:
                    await host.exec("many", ["true"], resource=unknown, tty=False)
                assert caught.value.data["handlers"] == keys
                for key in keys:
                    assert key in str(caught.value)
            assert [handler.key for handler in await host.exec_handlers("many")] == keys
            assert [one["key"] for one in host.plugins["many"].capabilities["exec"]["handlers"]] == keys

    run(body())


def test_handlers_are_described(run: Run, tmp_path: Path) -> None:
    code = """
        builder = sdk.exec.ActionTargetBuilder("Pods", "app=web", ["$.name"], {"kind": "Pod"})
        sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
            sdk.exec.Handler("only", default_command=["sh", "-l"], target_builder=builder,
                             tty_handler=lambda ctx, opts, tty, resize: None, handles_resize=True),
        ]))
    """
    write_plugin(tmp_path, "one", code)

    async def body() -> None:
        async with stage("one", dirs=[tmp_path]) as host:
            (handler,) = await host.exec_handlers("one")
            assert (handler.key, handler.plugin, handler.resource) == ("one/only", "one", "only")
            assert handler.default_command == ("sh", "-l")
            assert handler.target_builder == {
                "label": "Pods",
                "label_selector": "app=web",
                "paths": ["$.name"],
                "selectors": {"kind": "Pod"},
            }
            assert (handler.tty, handler.pipes, handler.handles_resize) == (True, False, True)

    run(body())


def test_handler_that_does_not_serve_what_was_asked_says_how(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, FUNCTIONS + FILES) as host:
            with pytest.raises(HandlerNotFound, match="tty=True") as caught:
                await host.exec("desk", resource="talk", tty=False)
            assert "desk/talk" in caught.value.data["handlers"]
            with pytest.raises(TerminalError, match="tty=False"):
                await host.exec("desk", resource="two", tty=True, params={"kind": "bytes"})
            assert await host.sessions() == []

    run(body())


def test_handler_without_a_command_asks_for_one(run: Run, tmp_path: Path) -> None:
    code = "sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[sdk.exec.Handler('bare')]))\n"

    async def body() -> None:
        async with runner(tmp_path, code) as host:
            with pytest.raises(TerminalError, match="no default command"):
                await host.exec("desk", resource="bare")
            session = await host.exec("desk", ["echo", "hi"], resource="bare", tty=False)
            assert (await read(session)).stdout == b"hi\n"

    run(body())


def test_what_no_program_can_be_given_is_refused(run: Run, tmp_path: Path) -> None:
    cases: list[dict[str, Any]] = [
        {"command": ["a\0b"]},
        {"command": [""]},
        {"command": ["true", "a\0b"]},
        {"env": {"A=B": "1"}},
        {"env": {"": "1"}},
        {"env": {"A": "secret\0"}},
        {"cwd": "a\0b"},
    ]

    async def body() -> None:
        async with runner(tmp_path) as host:
            for options in cases:
                for tty in (False, True):
                    with pytest.raises(TerminalError) as caught:
                        await host.exec("desk", **{"command": ["true"], "tty": tty, **options})
                    assert "secret" not in str(caught.value)
            assert await host.sessions() == []
            session = await host.exec("desk", ["true"], tty=False)
            assert (await session.wait()).code == 0

    run(body())


def test_options_of_the_wrong_kind_are_refused_before_anything_happens(run: Run, tmp_path: Path) -> None:
    cases: list[dict[str, Any]] = [
        {"command": [1]},
        {"env": {"A": 1}},
        {"env": {1: "A"}},
        {"labels": {"A": None}},
        {"replay_bytes": -1},
        {"replay_bytes": 2**40},
        {"replay_bytes": "many"},
        {"tty": "yes"},
        {"detached": 1},
        {"params": {"a": object()}},
        {"params": {"a": 2**70}},
        {"resource_data": {"a": "x" * (20 << 20)}},
    ]

    async def body() -> None:
        async with runner(tmp_path) as host:
            for options in cases:
                with pytest.raises(CallFailed):
                    await host.exec("desk", **{"command": ["true"], **options})
            assert await host.sessions() == []
            assert await host.call("desk", "echo", {"value": 1}) == 1

    run(body())


def test_text_alone_is_no_command(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            with pytest.raises(TypeError, match="list of words"):
                await host.exec("desk", "ls -l")

    run(body())


def test_programs_have_the_plugins_environment_and_a_terminal_type(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("echo $TERM"))
            term = (await read(session)).stdout.strip()
            assert term not in (b"", b"dumb")
            session = await host.exec("desk", sh("echo $TERM"), env={"TERM": "vt100"})
            assert (await read(session)).stdout.strip() == b"vt100"
            session = await host.exec("desk", sh("echo $HOME; env | grep -c COOKIE"), tty=False)
            assert (await read(session)).stdout.split() == [os.environ["HOME"].encode(), b"0"]

    run(body())
