"""Sessions when something is scarce, slow or odd: nothing is lost, hung, or left behind."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from plugin_host import CallError, CallFailed, PluginHost
from tests.run import Run
from tests.session import PATIENCE_S, Reader, ids, processes, runner, sh
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

ODD = """
    import os, resource, time
    register = lambda **what: sdk.exec.register_plugin(
        plugin, sdk.exec.PluginOpts([sdk.exec.Handler(**what)])
    )

    def surrogate(ctx, opts, tty, resize):
        raise FileNotFoundError("\\\\udcff is missing")

    def huge(ctx, opts, tty, resize):
        return 2**70

    def odd(ctx, opts, tty, resize):
        raise sdk.exec.ExecError(5, None, suggestion=7, retry_commands=[1, None])

    class Unreadable:
        def read(self, size):
            raise ValueError("\\\\udcff")

    for function in (surrogate, huge, odd):
        register(resource=function.__name__, tty_handler=function)
    register(resource="unreadable", command_handler=lambda ctx, opts: (Unreadable(), None))

    @plugin.command("memory")
    def memory(ctx):
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    held = []

    @plugin.command("exhaust")
    def exhaust(ctx, limit: int):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        try:
            while True:
                held.append(os.dup(0))
        except OSError:
            return len(held)

    @plugin.command("nap")
    def nap(ctx):
        ctx.cancelled.wait(60)
"""


def test_host_that_stalls_while_a_program_ends_loses_none_of_its_output(run: Run, tmp_path: Path) -> None:
    """A stopped host, as by Ctrl-Z, keeps the plugin from passing on what it reads."""
    size = 3_000_000

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["head", "-c", str(size), "/dev/zero"], tty=False)
            reading = asyncio.ensure_future(Reader(await session.attach()).rest())
            for _ in range(3):
                await asyncio.sleep(0.001)
                time.sleep(0.7)  # noqa: ASYNC251  # nothing of the host runs, longer than output is awaited
            reader = await asyncio.wait_for(reading, PATIENCE_S)
            assert len(reader.stdout) == size
            assert (await session.wait()).code == 0

    run(body())


@pytest.mark.parametrize(
    ("handler", "tty", "title"),
    [
        ("surrogate", True, "Session failed"),
        ("huge", True, "Session failed"),
        ("odd", True, "5"),
        ("unreadable", False, "Session failed"),
    ],
)
def test_every_exit_is_told_whatever_an_author_raises(
    run: Run, tmp_path: Path, handler: str, tty: bool, title: str
) -> None:
    async def body() -> None:
        async with runner(tmp_path, ODD) as host:
            session = await host.exec("desk", resource=handler, tty=tty)
            exit = await asyncio.wait_for(session.wait(), PATIENCE_S)
            assert exit.code is None
            assert exit.error is not None
            assert exit.error.title == title
            assert await ids(host) == [session.id]

    run(body())


def test_closed_sessions_give_their_memory_back_at_once(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, ODD) as host:

            async def live() -> None:
                command = ["head", "-c", "1000000", "/dev/zero"]
                session = await host.exec("desk", command, resource="local", tty=False, detached=True)
                await session.wait()
                await session.close()

            await live()
            before = await host.call("desk", "memory")
            for _ in range(25):
                await asyncio.gather(*(live() for _ in range(4)))
            assert await host.call("desk", "memory") - before < 40_000_000

    run(body())


@pytest.mark.parametrize("tty", [True, False], ids=["terminal", "pipes"])
def test_session_can_be_closed_without_a_descriptor_to_spare(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path, ODD) as host:
            session = await host.exec("desk", sh(f"sleep 60; : {tmp_path}"), resource="local", tty=tty)
            assert len(processes(tmp_path)) > 0
            assert await host.call("desk", "exhaust", {"limit": 60}) > 0
            with pytest.raises(CallError, match="Too many open files"):
                await host.exec("desk", sh("true"), resource="local", tty=tty)
            await asyncio.wait_for(session.close(), PATIENCE_S)
            assert (await session.wait()).signal is not None
            assert processes(tmp_path) == []

    run(body())


def test_busy_workers_keep_nobody_from_a_session(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, ODD) as host:
            session = await host.exec("desk", ["cat"], resource="local")
            naps = [asyncio.create_task(host.call("desk", "nap")) for _ in range(40)]
            await host.exec_handlers("desk")  # asked behind them
            async with asyncio.timeout(PATIENCE_S / 2):
                async with await session.attach(rows=5, cols=6):
                    await session.signal("SIGWINCH")
                    assert (await session.get()).rows == 5
                await session.close()
            for nap in naps:
                nap.cancel()
            await asyncio.gather(*naps, return_exceptions=True)

    run(body())


def test_list_of_sessions_with_much_to_tell_comes_in_parts(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            much = {"text": "x" * 1_000_000}
            opened = [await host.exec("desk", ["sleep", "60"], tty=False, params=much) for _ in range(18)]
            assert await ids(host) == [session.id for session in opened]
            with pytest.raises(CallFailed, match="give what is large as resource_data"):
                await host.exec("desk", ["true"], params=much | {"more": "x" * 100_000})

    run(body())


def test_session_that_has_ended_while_it_was_listed_can_be_waited_for(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:

            async def open_many() -> None:
                for _ in range(15):
                    await asyncio.gather(*(host.exec("desk", ["true"], tty=False) for _ in range(4)))

            opening = asyncio.create_task(open_many())
            while not opening.done():
                for session in await host.sessions():
                    assert (await asyncio.wait_for(session.wait(), PATIENCE_S)).code == 0
            await opening

    run(body())


def test_program_that_closes_its_terminal_runs_on(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = "exec 0<&- 1>&- 2>&-; sleep 0.2; echo back > /dev/tty; exit 7"
            session = await host.exec("desk", sh(script))
            await session.close_stdin()
            reader = await Reader(await session.attach()).rest()
            assert reader.stdout == b"back\r\n"
            assert (await session.wait()).code == 7

    run(body())


def test_closing_an_ended_session_ends_what_it_left_behind(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = f"sh -c 'sleep 60; : $0' {tmp_path} >/dev/null 2>&1 & exit 3"
            session = await host.exec("desk", sh(script), tty=False)
            assert (await session.wait()).code == 3
            await wait_until.aio(lambda: len(processes(tmp_path)) == 1)
            await session.close()
            assert processes(tmp_path) == []

    run(body())


def test_hosts_do_not_share_the_sessions_of_their_plugins(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path / "one") as one, runner(tmp_path / "other") as other:
            opened = [await host.exec("desk", ["cat"], id="same") for host in (one, other)]
            await opened[0].close()
            assert await _echo(other) == b"typed"

    async def _echo(host: PluginHost) -> bytes:
        (session,) = await host.sessions()
        viewer = await session.attach()
        again = await host.exec("desk", ["echo", "typed"], tty=False)
        reader = await Reader(await again.attach()).rest()
        await viewer.detach()
        return reader.stdout.strip()

    run(body())


ON_TERMINAL = """
    import subprocess

    @plugin.exec("popen")
    def popen(ctx, opts, tty, resize):
        command = ["sh", "-c", "echo $(stty size); read line; echo got $line; exit 6"]
        return subprocess.Popen(command, stdin=tty, stdout=tty, stderr=tty)
"""


def test_popen_on_its_terminal_takes_the_place_of_a_function(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, ON_TERMINAL) as host:
            session = await host.exec("desk", resource="popen", rows=9, cols=99)
            reader = Reader(await session.attach())
            await reader.until(b"9 99")
            await session.write(b"typed\n")
            assert b"got typed" in (await reader.rest()).stdout
            assert (await session.wait()).code == 6
            session = await host.exec("desk", resource="popen")
            await Reader(await session.attach()).until(b"27 72")
            await session.close()
            assert (await session.wait()).signal == "SIGHUP"

    run(body())
