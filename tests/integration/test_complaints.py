"""What users of other plugin hosts complain of, and what has no test elsewhere."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plugin_host import PluginDied
from plugin_host.state import State
from tests.run import Run
from tests.served import HostEnd
from tests.stage import runs, stage, write_plugin
from tests.victim import Victim, is_there
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

MIB = 1024 * 1024

AT_ONCE_S = 0.5
"""Less than anybody waits for the end of another: even a keeper gives what it found that much."""


def test_killed_plugin_leaves_no_zombie(run: Run, wait_until: WaitUntil) -> None:
    """A server that was killed stayed in the table of processes until its editor ended (pylsp#196)."""

    async def body() -> None:
        async with stage("steady") as host:
            pid = host.plugins["steady"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await wait_until.aio(lambda: not runs(pid))  # a zombie would still be listed

    run(body())


def test_next_host_starts_a_plugin_at_once_after_one_that_was_killed(run: Run) -> None:
    """What a killed manager left behind kept its successor from starting for a minute (guest-agent#638).

    Here that is a plugin that ignores all but SIGKILL, and a keeper that is stopped: both stay for as long
    as the successor may take, so one that waits for their end fails, and one that waits for a while is
    slower each time than the same start with nothing left behind.
    """

    async def start_one() -> float:
        began = time.monotonic()
        async with stage("ignores_term") as host:
            took = time.monotonic() - began
            assert host.plugins["ignores_term"].state is State.READY
            return took

    usual = run(start_one())
    with Victim(["ignores_term"]) as victim:
        (left,), keeper = victim.told["pids"], victim.told["keeper"]
        os.kill(keeper, signal.SIGSTOP)
        try:
            victim.kill()
            # A wait that is there is there each time; a machine with other work is not that even.
            assert any(run(start_one()) < usual + AT_ONCE_S for _ in range(3))
            assert is_there(left)
            assert is_there(keeper)
        finally:
            os.kill(keeper, signal.SIGCONT)


def test_plugin_that_prints_more_than_a_pipe_holds_before_it_is_ready_starts(
    run: Run, tmp_path: Path
) -> None:
    """Output before the handshake filled a pipe that nobody read (go-plugin#93, skenario#103)."""
    head = """
        import os, sys
        for number in range(4096):
            print("out", "x" * 252)
            print("err", "x" * 252, file=sys.stderr)
        os.system("head -c 1000000 /dev/zero | tr '\\\\0' x; echo")
    """
    code = """
        @plugin.command("echo")
        def echo(ctx, value): return value
    """
    write_plugin(tmp_path, "prolix", code, head=head)

    async def body() -> None:
        async with stage("prolix", dirs=[tmp_path]) as host:
            assert await host.call("prolix", "echo", {"value": 1}) == 1

    run(body())


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_last_line_before_a_sudden_exit_is_not_lost(run: Run, tmp_path: Path, stream: str) -> None:
    """The last output came only if the plugin slept before it ended (go-plugin#135, ignite/cli#4091)."""
    code = f"""
        import os, sys

        @plugin.command("leave")
        def leave(ctx):
            print("the last words", file=sys.{stream}, flush=True)
            os._exit(3)
    """
    write_plugin(tmp_path, "sudden", code)

    async def body() -> None:
        async with stage("sudden", dirs=[tmp_path]) as host:
            with pytest.raises(PluginDied) as caught:
                await host.call("sudden", "leave")
            assert caught.value.report is not None
            assert caught.value.report.stderr[-1] == "the last words"

    run(body())


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_that_is_no_utf_8_is_logged_and_breaks_nothing(
    run: Run, tmp_path: Path, logged: pytest.LogCaptureFixture, stream: str
) -> None:
    """One byte that is no UTF-8 ended the client's reader, and with it every call (python-sdk#2456)."""
    head = f"""
        import sys
        sys.{stream}.buffer.write(b"early \\xff\\xfe\\n")
        sys.{stream}.buffer.flush()
    """
    code = f"""
        @plugin.command("say")
        def say(ctx):
            sys.{stream}.buffer.write(b"late \\x80 \\xc3\\x28\\n")
            sys.{stream}.buffer.flush()
            return "said"
    """
    write_plugin(tmp_path, "latin", code, head=head)

    async def body() -> None:
        async with stage("latin", dirs=[tmp_path]) as host:
            assert await host.call("latin", "say") == "said"
            assert await host.call("latin", "say") == "said"

    run(body())
    assert "early " in logged.text
    assert logged.text.count("stderr: late ") == 2


@pytest.mark.deadline(60)
def test_large_messages_both_ways_at_the_same_time_do_not_block_each_other(
    run: Run, tmp_path: Path
) -> None:
    """Both ends wrote and neither read, and the channel stood still (neovim#31793, neovim#27348)."""
    code = """
        @plugin.command("echo")
        def echo(ctx, value): return value
    """
    write_plugin(tmp_path, "mirror", code)

    async def body() -> None:
        async with stage("mirror", dirs=[tmp_path]) as host:
            values = [bytes([number]) * (8 * MIB) for number in range(8)]
            calls = [host.call("mirror", "echo", {"value": value}, timeout=40) for value in values]
            assert await asyncio.gather(*calls) == values

    run(body())


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_plugin_whose_host_vanishes_in_a_call_ends_without_a_traceback(tmp_path: Path, kind: str) -> None:
    """Every end of the editor was a traceback of a broken pipe in the server's log (pygls#179)."""
    wait = "await asyncio.sleep(0.05)" if kind == "async def" else "time.sleep(0.05)"
    code = f"""
        import asyncio, logging, time

        @plugin.command("talk")
        {kind} talk(ctx):
            ctx.progress(1, 2)
            {wait}
            logging.getLogger("talk").warning("to nobody")
            print("to nobody")
            return "x" * 1000000
    """
    folder = write_plugin(tmp_path, "bereft", code)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = subprocess.Popen(
            [sys.executable, "-m", "plugin_host_sdk", "--path", folder / "bereft", "bereft_plugin:plugin"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            env={**os.environ, "PLUGIN_HOST_COOKIE": "1"},
        )
        with child:
            theirs.close()
            host = HostEnd(ours)
            host.initialize("bereft")
            host.ask_command("talk")
            ours.close()
            assert child.stderr is not None
            said = child.stderr.read().decode()
            assert child.wait(10) == 0
    assert not re.search(r"Traceback|BrokenPipe|Error", said), said
