"""Handlers that raise, or return what they should not: words for the person who looks at the session."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin_host import TerminalError
from tests.run import Run
from tests.session import read, runner

pytestmark = pytest.mark.edges

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
                assert "an exit code, None, an ExecSpec or a Popen" in error.message
            session = await host.exec("desk", resource="odd_spec")
            assert (await read(session)).stdout == b"before"
            error = (await session.wait()).error
            assert error is not None
            assert "no-such-program" in error.message

    run(body())
