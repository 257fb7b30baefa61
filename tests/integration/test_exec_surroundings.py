"""What sessions and their programs stand in: descriptors, threads, signals, limits, and the host's end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from plugin_host import CallError, PluginDied, PluginHost, Session, SessionNotFound, TerminalError
from plugin_host_sdk.protocol import WORKERS
from tests.run import Run
from tests.sdk.ends import signal_set
from tests.session import Reader, ids, processes, read, runner, sh
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

PIPES_AND_TERMINALS = pytest.mark.parametrize("tty", [False, True])

FUNCTION = """
    @plugin.exec("function")
    def function(ctx, opts, tty, resize):
        for size in resize:
            pass
"""


def plugin_process(host: PluginHost) -> psutil.Process:
    pid = host.plugins["desk"].pid
    assert pid is not None
    return psutil.Process(pid)


# What a program finds.


@PIPES_AND_TERMINALS
def test_program_has_its_three_descriptors_and_no_more(run: Run, tmp_path: Path, tty: bool) -> None:
    """However many sessions the plugin has open while it starts."""

    async def body() -> None:
        async with runner(tmp_path, FUNCTION) as host:
            others = [
                await host.exec("desk", ["cat"], tty=number % 2 == 0, resource="local")
                for number in range(10)
            ]
            others += [await host.exec("desk", resource="function") for _ in range(3)]
            for other in others:
                await other.attach()
            command = ["python3", "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))"]
            sessions = await asyncio.gather(
                *(host.exec("desk", command, tty=tty, resource="local") for _ in range(10))
            )
            for session in sessions:
                # The fourth is that of the listing itself.
                assert (await read(session)).stdout.strip() == b"['0', '1', '2', '3']"

    run(body())


@PIPES_AND_TERMINALS
def test_program_leads_a_session_with_every_signal_as_it_was_made(
    run: Run, tmp_path: Path, tty: bool
) -> None:
    code = "import os; print(os.getpid() == os.getpgid(0) == os.getsid(0)); os.open('/dev/tty', os.O_RDWR)"

    async def body() -> None:
        async with runner(tmp_path) as host:
            state = sh("exec grep -E 'SigBlk|SigIgn' /proc/self/status")
            shown = (await read(await host.exec("desk", state, tty=tty))).stdout
            assert signal_set(shown, "SigBlk") == signal_set(shown, "SigIgn") == set()
            session = await host.exec("desk", ["python3", "-c", code], tty=tty)
            assert (await read(session)).stdout.split()[0] == b"True"
            # Only on a terminal is there one of its own.
            assert (await session.wait()).code == (0 if tty else 1)

    run(body())


def test_plugin_never_takes_a_terminal_for_its_own(run: Run, tmp_path: Path) -> None:
    """It leads a session, and would, by opening one, be hung up with it."""

    async def body() -> None:
        async with runner(tmp_path, FUNCTION) as host:
            for resource in ("local", "function"):
                session = await host.exec("desk", resource=resource)
                process = plugin_process(host)
                assert process.terminal() is None
                await session.close()
            assert process.is_running()
            assert await host.call("desk", "echo", {"value": 1}) == 1

    run(body())


# Numbers.


@pytest.mark.deadline(40)
def test_hundreds_of_sessions_take_no_thread_each(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            sessions = [await host.exec("desk", ["cat"], tty=number % 4 == 0) for number in range(200)]
            viewers = [await session.attach() for session in sessions]
            for session in sessions:
                await session.write(b"hello\n")
            for viewer in viewers:
                await Reader(viewer).until(b"hello")
            assert plugin_process(host).num_threads() < 45
            await asyncio.gather(*(session.close() for session in sessions))
            assert await ids(host) == []
            assert plugin_process(host).num_threads() < 45

    run(body())


def test_sessions_are_served_while_every_worker_is_busy(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """An interrupt, another size, a second look and the end wait for nobody's slow command."""
    code = """
        @plugin.command("nap")
        def nap(ctx):
            begun.append(1)
            ctx.cancelled.wait(30)

        @plugin.command("begun")
        async def count(ctx):
            return len(begun)

        begun = []
    """

    async def body() -> None:
        async with runner(tmp_path, code) as host:
            script = (
                "trap 'echo interrupted' INT; trap 'stty size' WINCH; echo ready; while :; do read x; done"
            )
            session = await host.exec("desk", sh(script))
            reader = Reader(await session.attach())
            await reader.until(b"ready")
            naps = [asyncio.ensure_future(host.call("desk", "nap")) for _ in range(40)]

            async def are_taken() -> bool:
                return bool(await host.call("desk", "begun") == WORKERS)

            await wait_until.aio(are_taken)
            async with asyncio.timeout(5):
                await session.signal("SIGINT")
                await reader.until(b"interrupted")
                await session.resize(rows=10, cols=20)
                await reader.until(b"10 20")
                await (await session.attach(offset=-1)).detach()
                await session.close()
            for task in naps:
                task.cancel()
            await asyncio.wait(naps)

    run(body())


def test_sessions_leave_no_descriptor_and_no_child_behind(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path, FUNCTION) as host:

            async def one(number: int) -> None:
                function = number % 5 == 0
                session = await host.exec(
                    "desk",
                    ["cat"],
                    resource="function" if function else "local",
                    tty=function or number % 2 == 0,
                )
                viewer = await session.attach()
                await session.write(b"x")
                if number % 3 == 0 and not function:
                    await session.signal("SIGKILL")
                    await session.wait()
                await session.close()
                await viewer.detach()

            await asyncio.gather(*map(one, range(10)))
            process = plugin_process(host)
            before = process.num_fds()
            for _ in range(5):
                await asyncio.gather(*map(one, range(10)))
            await wait_until.aio(lambda: process.num_fds() <= before)
            await wait_until.aio(lambda: process.children() == [])

    run(body())


def test_plugin_without_descriptors_refuses_and_recovers(run: Run, tmp_path: Path) -> None:
    code = """
        import resource

        @plugin.command("limit")
        def limit(ctx, files: int):
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, 4096))
    """

    async def body() -> None:
        async with runner(tmp_path, code) as host:
            warm = await host.exec("desk", ["true"], tty=False)
            await read(warm)
            await host.call("desk", "limit", {"files": plugin_process(host).num_fds() + 20})
            opened: list[Session] = []
            refusals: list[TerminalError] = []
            for tty in (False, True) * 20:
                try:
                    opened.append(await host.exec("desk", ["cat"], tty=tty))
                except TerminalError as error:
                    refusals.append(error)
            assert {error.retryable for error in refusals} == {True}
            assert 2 < len(opened) < 30
            for session in opened:
                await session.write(b"still\n")
                async with await session.attach() as viewer:
                    await Reader(viewer).until(b"still")
                await session.close()
            for tty in (False, True):
                assert (await (await host.exec("desk", ["true"], tty=tty)).wait()).code == 0

    run(body())


@PIPES_AND_TERMINALS
def test_arguments_that_are_too_long_or_no_text_are_refused(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            with pytest.raises(TerminalError, match="too long"):
                await host.exec("desk", ["true", "x" * 200_000], tty=tty)
            with pytest.raises(CallError):
                await host.exec("desk", ["true", "\udcff"], tty=tty)
            with pytest.raises(CallError) as caught:
                await host.exec("desk", ["true", "x" * (20 << 20)], tty=tty)
            assert caught.value.name == "rpc.too_large"
            assert await ids(host) == []
            session = await host.exec("desk", ["printf", "%s", "ü漢🙂"], tty=tty)
            assert (await read(session)).stdout.decode() == "ü漢🙂"

    run(body())


# Closing in bad moments.


@PIPES_AND_TERMINALS
def test_session_whose_viewer_does_not_read_is_closed_like_others(
    run: Run, tmp_path: Path, wait_until: WaitUntil, tty: bool
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("stty -opost 2>&-; exec yes"), tty=tty)
            viewer = await session.attach()

            async def is_stopped() -> bool:
                return (await session.get()).output["stdout"].end > 200_000

            await wait_until.aio(is_stopped)
            before = asyncio.get_running_loop().time()
            await session.close()
            assert asyncio.get_running_loop().time() - before < 2
            reader = await Reader(viewer).rest()
            assert set(reader.stdout) == set(b"y\n")
            assert reader.gaps == []

    run(body())


def test_close_that_is_called_off_goes_on(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh(f"trap 'sleep 0.2; exit 3' TERM; echo ready; read x; : {tmp_path}")
            session = await host.exec("desk", script, tty=False)
            await Reader(await session.attach()).until(b"ready")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await session.close()
            assert (await session.wait()).code == 3
            await wait_until.aio(lambda: processes(tmp_path) == [])

            async def is_forgotten() -> bool:
                try:
                    await session.get()
                except SessionNotFound:
                    return True
                return False

            await wait_until.aio(is_forgotten)

    run(body())


@PIPES_AND_TERMINALS
def test_end_of_the_host_ends_everybody_who_waits(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        # Time for its last words, also on a busy machine.
        async with runner(tmp_path, launch={"stop_timeout_s": 10}) as host:
            session = await host.exec("desk", sh("echo hello; exec sleep 60"), tty=tty)
            reader = Reader(await session.attach())
            await reader.until(b"hello")
            exit = asyncio.ensure_future(session.wait())
            end = asyncio.ensure_future(reader.rest())
            written = asyncio.ensure_future(session.write(bytes(64 << 20)))
            await asyncio.sleep(0)
        await asyncio.wait([exit, end, written], timeout=5)
        assert exit.result().signal == ("SIGHUP" if tty else "SIGTERM")
        assert end.exception() is None
        assert isinstance(written.exception(), CallError)

    run(body())


def test_output_that_is_cut_by_the_plugins_death_is_no_clean_end(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["yes"], tty=False)
            viewer = await session.attach()
            await Reader(viewer).count(1 << 20)
            plugin_process(host).kill()
            with pytest.raises(PluginDied):
                await Reader(viewer).rest()
            with pytest.raises(PluginDied):
                await anext(viewer)

    run(body())
