"""Handlers that name a program, and functions on a terminal: what they are given and how they end."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from tests.run import Run
from tests.session import DESK, Reader, read, runner
from tests.stage import stage, write_plugin

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


ASKING = """
    @plugin.exec("spec")
    def spec(ctx, opts):
        return sdk.exec.ExecSpec(["echo", ctx.host.call("word")])

    @plugin.exec("spec_async")
    async def spec_async(ctx, opts):
        return sdk.exec.ExecSpec(["echo", await ctx.host.call("word")])

    @plugin.exec("tty")
    def tty(ctx, opts, tty, resize):
        tty.write(ctx.host.call("word").encode() + b"\\n")

    @plugin.exec("tty_async")
    async def tty_async(ctx, opts, tty, resize):
        tty.write((await ctx.host.call("word")).encode() + b"\\n")
"""


@pytest.mark.parametrize("resource", ["spec", "spec_async", "tty", "tty_async"])
def test_function_of_a_session_asks_the_host_as_that_of_a_command_does(
    run: Run, tmp_path: Path, resource: str
) -> None:
    code = textwrap.dedent(DESK) + textwrap.dedent(ASKING)
    folder = write_plugin(tmp_path / "plugins", "desk", code, permissions=["host.word"])

    async def body() -> None:
        async with stage("desk", dirs=[folder], services={"word": lambda ctx: "from the host"}) as host:
            session = await host.exec("desk", resource=resource, tty=True)
            assert (await read(session)).stdout.strip() == b"from the host"

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


# Raw terminals.


def test_raw_terminal_passes_on_what_is_typed_and_nothing_else(run: Run, tmp_path: Path) -> None:
    code = """
        cat = ["sh", "-c", "printf '?'; exec head -c 6"]
        Handler = sdk.exec.Handler
        sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
            Handler("command", default_command=cat, raw=True),
            Handler("spec", session_handler=lambda ctx, opts: sdk.exec.ExecSpec(cat, raw=True)),
            Handler("inherits", session_handler=lambda ctx, opts: sdk.exec.ExecSpec(cat), raw=True),
            Handler("successor", tty_handler=lambda *given: sdk.exec.ExecSpec(cat), raw=True),
            Handler("cooked", session_handler=lambda *given: sdk.exec.ExecSpec(cat, raw=False), raw=True),
        ]))

        @plugin.exec("terminal", raw=True)
        def terminal(ctx, opts, tty, resize):
            tty.write(b"?")
            left = 6
            while left:
                data = tty.read(left)
                tty.write(data)
                left -= len(data)
    """
    # Ctrl-C, Ctrl-D, a line's end and what erases are bytes like others.
    typed = b"\x03\x04a\r\x7f\n"

    async def body() -> None:
        async with runner(tmp_path, code) as host:
            for resource in ("command", "spec", "inherits", "successor", "terminal"):
                session = await host.exec("desk", resource=resource)
                reader = Reader(await session.attach())
                await reader.until(b"?")
                await session.write(typed)
                assert (await reader.rest()).stdout == b"?" + typed
                assert (await session.wait()).code == 0
            session = await host.exec("desk", resource="cooked")
            reader = Reader(await session.attach())
            await reader.until(b"?")
            await session.write(b"abcde\n")
            assert (await reader.rest()).stdout == b"?" + b"abcde\r\n" * 2

    run(body())
