"""Terminals that the plugin hands to the host, which reads them itself; everything else goes on as ever."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from plugin_host import CallFailed, DirectTerminal, PluginDied, Session, SessionExists, TerminalError, sync
from plugin_host.exec import opening
from plugin_host.exec.handover import HandoverSocket
from tests.run import Run
from tests.screen import Screen
from tests.session import PATIENCE_S, ids, processes, runner, sh
from tests.stage import link_of, write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

BASH = ["bash", "--norc", "--noprofile", "-i"]
PROMPT = {"PS1": "ready> ", "TERM": "xterm"}


def terminal_of(session: Session) -> DirectTerminal:
    assert session.terminal is not None
    return session.terminal


async def until(session: Session, condition: Callable[[bytes], bool]) -> bytes:
    """Read until what has come is as wanted; all of it."""
    seen, terminal = b"", terminal_of(session)
    async with asyncio.timeout(PATIENCE_S):
        while not condition(seen):
            data = await terminal.read()
            assert data, f"it ended after {seen!r}"
            seen += data
    return seen


async def rest(session: Session) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        return b"".join([data async for data in terminal_of(session)])


def test_every_byte_comes_and_then_the_exit(run: Run, tmp_path: Path) -> None:
    script = "stty raw; head -c 3000000 /dev/zero | tr '\\0' x; printf end; exit 3"

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh(script), direct=True)
            terminal = terminal_of(session)
            assert await rest(session) == b"x" * 3_000_000 + b"end"
            assert session.exit is not None
            assert session.exit.code == 3
            assert (terminal.fileno(), await terminal.read()) == (-1, b"")
            assert await session.totals() == {"stdout": 0}
            await session.close()
            assert await ids(host) == []

    run(body())


def test_interactive_shell_takes_keys_sizes_signals_and_end_of_file(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", BASH, env=PROMPT, rows=10, cols=20, direct=True)
            await until(session, lambda seen: seen.endswith(b"ready> "))
            await session.write(b"stty size\n")
            assert b"10 20" in await until(session, lambda seen: seen.endswith(b"ready> "))
            await session.resize(rows=30, cols=90)
            await session.write(b"stty size\n")
            assert b"30 90" in await until(session, lambda seen: b"30 90" in seen and seen.endswith(b"> "))
            assert (await session.get()).rows == 30
            interrupts: list[Callable[[], Awaitable[None]]] = [
                lambda: session.write(b"\x03"),
                lambda: session.signal("SIGINT"),
            ]
            for interrupt in interrupts:
                await session.write(b"sh -c 'echo a${0}w; exec sleep 100' sleeps-no\n")
                await until(session, lambda seen: b"asleeps-now" in seen)
                await interrupt()
                await until(session, lambda seen: seen.endswith(b"ready> "))
            await session.close_stdin()
            assert b"exit" in await rest(session)
            assert session.exit is not None
            assert session.exit.code == 130

    run(body())


@pytest.mark.skipif(shutil.which("vi") is None, reason="no vi")
def test_full_screen_program_draws_and_follows_the_size(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        screen = Screen(24, 80)
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["vi"], env=PROMPT, rows=24, cols=80, direct=True)

            async def sees(text: str) -> None:
                async with asyncio.timeout(PATIENCE_S):
                    while text not in screen.text:
                        screen.feed(await terminal_of(session).read())

            await session.write(b"ihello there\x1b")
            await sees("hello there")
            screen.clear()
            screen.resize(40, 100)
            await session.resize(rows=40, cols=100)
            await session.write(b":set lines?\r")
            await sees("lines=40")
            await session.write(b":q!\r")
            await rest(session)
            assert session.exit is not None
            assert session.exit.code == 0

    run(body())


def test_program_that_closes_its_terminal_runs_on(run: Run, tmp_path: Path) -> None:
    script = "exec 3>&1 >&- 2>&- <&- 3>&-; sleep 0.2; echo back >/dev/tty; exit 4"

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh(script), direct=True)
            assert await rest(session) == b"back\r\n"
            assert session.exit is not None
            assert session.exit.code == 4

    run(body())


def test_survivor_that_keeps_the_terminal_does_not_hold_the_end_up(run: Run, tmp_path: Path) -> None:
    script = f"trap '' HUP; (while :; do echo more; sleep 0.01; done; : {tmp_path}) & echo first; exit 0"

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh(script), direct=True)
            assert b"first" in await rest(session)
            assert session.exit is not None
            assert session.exit.code == 0
            await session.close()

    run(body())


def test_who_closes_the_terminal_leaves_the_program_to_wait(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh(f"yes; : {tmp_path}"), direct=True)
            async with terminal_of(session) as terminal:
                assert await terminal.read()
                waiting = asyncio.ensure_future(terminal.read())
                terminal.close()
                await waiting
            assert await terminal.read() == b""
            await host.call("desk", "echo")  # nobody else is held up
            assert (await session.get()).state == "running"
            await session.close()
            await wait_until.aio(lambda: processes(tmp_path) == [])
            assert (await session.wait()).signal == "SIGHUP"

    run(body())


def test_flood_leaves_the_loop_to_others(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["yes"], direct=True)
            reading = asyncio.ensure_future(rest(session))
            async with asyncio.timeout(PATIENCE_S):
                for number in range(20):
                    assert await host.call("desk", "echo", {"value": number}) == number
            await session.close()
            assert await reading

    run(body())


def test_death_of_the_plugin_ends_the_reading_with_its_story(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh(f"echo last words; cat; : {tmp_path}"), direct=True)
            await until(session, lambda seen: b"words" in seen)
            reading = asyncio.ensure_future(rest(session))
            await asyncio.sleep(0)
            pid = host.plugins["desk"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(PluginDied, match="SIGKILL"):
                await reading
            assert terminal_of(session).fileno() == -1
            await wait_until.aio(lambda: processes(tmp_path) == [])

    run(body())


def test_what_cannot_be_passed_on_is_refused_and_nothing_is_left(run: Run, tmp_path: Path) -> None:
    code = """
        sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
            sdk.exec.Handler("own", tty_handler=lambda ctx, opts, tty, resize: 0),
        ]))
    """

    async def body() -> None:
        async with runner(tmp_path, code) as host:
            with pytest.raises(TerminalError, match="runs a function of its plugin"):
                await host.exec("desk", resource="own", direct=True)
            with pytest.raises(CallFailed, match="no terminal to pass on"):
                await host.exec("desk", ["true"], resource="local", tty=False, direct=True)
            with pytest.raises(TerminalError, match="no_such_program"):
                await host.exec("desk", ["no_such_program"], resource="local", direct=True)
            session = await host.exec("desk", ["cat"], resource="local", id="one", direct=True)
            with pytest.raises(SessionExists):
                await host.exec("desk", ["cat"], resource="local", id="one", direct=True)
            with pytest.raises(TerminalError, match="reads the terminal itself"):
                await session.attach()
            await session.close()
            assert await ids(host) == []

    run(body())


def test_cancelled_opening_leaves_nothing(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            for pause in (0.0, 0.002, 0.01):
                opening = asyncio.ensure_future(host.exec("desk", ["cat", str(tmp_path)], direct=True))
                await asyncio.sleep(pause)
                opening.cancel()
                try:
                    await (await opening).close()
                except asyncio.CancelledError:
                    pass
            await wait_until.aio(lambda: processes(tmp_path) == [])

    run(body())


def test_plugin_that_cannot_reach_the_host_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere(HandoverSocket):
        def __init__(self) -> None:
            super().__init__()
            self.named = self.named | {"socket": "of.another.network"}

    async def body() -> None:
        async with runner(tmp_path) as host:
            monkeypatch.setattr(opening, "HandoverSocket", Elsewhere)
            with pytest.raises(TerminalError, match="the host is not in reach") as caught:
                await host.exec("desk", ["cat", str(tmp_path)], direct=True)
            assert caught.value.data["reason"] == "out_of_reach"
            assert processes(tmp_path) == []

    run(body())


def test_plugin_without_the_feature_is_not_asked(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            link_of(host, "desk").features = frozenset({"stacks"})
            with pytest.raises(TerminalError, match="passes no terminals on"):
                await host.exec("desk", ["true"], direct=True)

    run(body())


def test_only_a_terminal_with_the_token_is_taken() -> None:
    def send(token: str, fds: list[int]) -> None:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(f"\0{handover.named['socket']}")
            socket.send_fds(channel, [token.encode()], fds)

    master, slave = os.openpty()
    reading, writing = os.pipe()
    try:
        with HandoverSocket() as handover:
            token = handover.named["token"]
            send("0" * 32, [master])
            send("ä", [])
            send(token, [])
            send(token, [reading])
            send(token, [slave])
            send(token, [master, master])
            with pytest.raises(TerminalError, match="did not pass"):
                handover.take("one")
            send(token, [master])
            fd = handover.take("one")
            assert os.fstat(fd).st_rdev == os.fstat(master).st_rdev
            assert (os.get_inheritable(fd), os.get_blocking(fd)) == (False, False)
            os.close(fd)
    finally:
        for fd in (master, slave, reading, writing):
            os.close(fd)


def test_blocking_host_reads_it_too(tmp_path: Path) -> None:
    code = "sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[sdk.exec.Handler('local')]))"
    write_plugin(tmp_path, "desk", code)
    with sync.PluginHost(plugin_dirs=[tmp_path], entry_points=False, only=["desk"]) as host:
        session = host.exec("desk", sh("echo one; exit 5"), direct=True)
        with session.terminal as terminal:  # type: ignore[union-attr]
            assert terminal.fileno() >= 0
            assert b"".join(terminal) == b"one\r\n"
        assert session.wait().code == 5
        assert host.exec("desk", ["true"]).terminal is None
