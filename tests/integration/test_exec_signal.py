"""Signals by name: who gets them, and what is said when nobody can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plugin_host import CallFailed, SessionClosed, TerminalError
from tests.run import Run
from tests.session import Reader, is_alive, runner, sh
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

PIPES_AND_TERMINALS = pytest.mark.parametrize("tty", [False, True])

HANDLERS = """
    import io, os, subprocess

    @plugin.exec("function")
    def function(ctx, opts, tty, resize):
        for size in resize:
            pass

    @plugin.exec("files")
    def files(ctx, opts):
        reading, writing = os.pipe()
        return os.fdopen(writing, "wb"), os.fdopen(reading, "rb"), None

    @plugin.exec("popen")
    def popen(ctx, opts):
        return subprocess.Popen(opts.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
"""


@PIPES_AND_TERMINALS
def test_signal_arrives_by_its_name(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            for name in ("INT", "QUIT", "USR1", "USR2", "TERM", "HUP", "CONT", "WINCH"):
                script = (
                    f"trap 'echo {name}; exit 3' {name}; echo ready; while :; do read x; sleep 0.01; done"
                )
                session = await host.exec("desk", sh(script), tty=tty)
                reader = Reader(await session.attach())
                await reader.until(b"ready")
                await session.signal(f"SIG{name}")
                await reader.until(name.encode())
                assert (await session.wait()).code == 3

    run(body())


@PIPES_AND_TERMINALS
def test_kill_kills(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["sleep", "60"], tty=tty)
            await session.signal("SIGKILL")
            exit = await session.wait()
            assert (exit.code, exit.signal) == (None, "SIGKILL")

    run(body())


@PIPES_AND_TERMINALS
def test_signal_reaches_the_whole_process_group(
    run: Run, tmp_path: Path, wait_until: WaitUntil, tty: bool
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("sleep 60 & echo $!; exec sleep 60"), tty=tty)
            reader = Reader(await session.attach())
            child = int(await reader.until(b"\n"))
            await session.signal("SIGTERM")
            assert (await session.wait()).signal == "SIGTERM"
            await wait_until.aio(lambda: not is_alive(child))

    run(body())


def test_what_a_keyboard_sends_goes_to_the_foreground_job(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["bash", "--norc", "-i"], env={"PS1": "$ "})
            reader = Reader(await session.attach())
            await reader.until(b"$ ")
            for signal in ("SIGINT", "SIGQUIT"):
                await session.write(b"sh -c 'ulimit -c 0; echo be''gin; exec sleep 60'; echo status $?\n")
                await reader.until(b"begin\r\n")
                await session.signal(signal)
                if signal == "SIGQUIT":
                    await reader.until(b"status 131")
                await reader.until(b"$ ")
            # The shell is still there: the job alone was meant.
            await session.write(b"exit 6\n")
            assert (await session.wait()).code == 6

    run(body())


def test_stopped_program_goes_on_when_told(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("while read x; do echo got $x; done"), tty=False)
            reader = Reader(await session.attach())
            await session.write(b"1\n")
            await reader.until(b"got 1\n")
            await session.signal("SIGSTOP")
            pid = (await session.get()).pid
            stat = Path(f"/proc/{pid}/stat")
            await wait_until.aio(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
            await session.write(b"2\n")
            await session.signal("SIGCONT")
            await reader.until(b"got 2\n")
            await session.close()

    run(body())


def test_name_of_no_signal_is_refused_with_those_there_are(run: Run, tmp_path: Path) -> None:
    names: list[Any] = ["SIGNONE", "INT", "sigint", "2", "", "SIG_IGN", "__class__", 2, None, ["SIGINT"]]

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["cat"], tty=False)
            for name in names:
                with pytest.raises(CallFailed) as caught:
                    await session.signal(name)
                assert caught.value.name == "rpc.invalid_params"
                if isinstance(name, str):
                    assert "SIGTERM" in str(caught.value)
            assert (await session.get()).state == "running"
            await session.close()

    run(body())


def test_ended_session_takes_no_signal(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["true"], tty=False)
            await session.wait()
            with pytest.raises(SessionClosed):
                await session.signal("SIGTERM")

    run(body())


def test_what_is_no_process_takes_no_signal(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, HANDLERS) as host:
            for resource, tty in (("function", True), ("files", False)):
                session = await host.exec("desk", resource=resource, tty=tty)
                with pytest.raises(TerminalError, match="no signals"):
                    await session.signal("SIGTERM")
                await session.close()

    run(body())


def test_popen_of_a_handler_is_signalled_and_not_the_plugin_with_it(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, HANDLERS) as host:
            session = await host.exec("desk", ["sleep", "60"], resource="popen", tty=False)
            await session.signal("SIGTERM")
            assert (await session.wait()).signal == "SIGTERM"
            assert await host.call("desk", "echo", {"value": 1}) == 1

    run(body())
