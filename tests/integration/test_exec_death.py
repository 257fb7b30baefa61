"""Plugins that die, are stopped or started again, and what that is for their sessions."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from plugin_host import CallCancelled, HandlerNotFound, PluginDied, PluginNotReady
from tests.run import Run
from tests.session import Reader, ids, processes, read, runner, sh
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

PIPES_AND_TERMINALS = pytest.mark.parametrize("tty", [False, True])


@PIPES_AND_TERMINALS
def test_death_of_the_plugin_is_told_everywhere(
    run: Run, tmp_path: Path, wait_until: WaitUntil, tty: bool
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh(f"echo hi; cat; : {tmp_path}"), tty=tty)
            ended = await host.exec("desk", ["true"], tty=tty)
            exit = await ended.wait()
            viewer = await session.attach()
            reader = Reader(viewer)
            await reader.until(b"hi")
            waiting = [
                asyncio.ensure_future(one)
                for one in (session.wait(), reader.rest(), session.write(bytes(64 * 1024 * 1024)))
            ]
            await host.call("desk", "echo")
            pid = host.plugins["desk"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await asyncio.wait(waiting)
            errors = [task.exception() for task in waiting]
            acts: list[Callable[[], Awaitable[object]]] = [
                session.wait,
                session.get,
                session.attach,
                session.close,
                session.close_stdin,
                lambda: session.write(b"more"),
                lambda: session.signal("SIGTERM"),
                lambda: session.resize(rows=10, cols=10),
                lambda: viewer.write(b"more"),
                lambda: viewer.resize(rows=10, cols=10),
                lambda: anext(viewer),
                ended.get,
                ended.attach,
            ]
            for act in acts:
                with pytest.raises(PluginDied) as caught:
                    await act()
                errors.append(caught.value)
            for error in errors:
                assert isinstance(error, PluginDied), error
                assert error.retryable
                assert "SIGKILL" in str(error)
                assert error.plugin == "desk"
            assert f"with session {session.id} open" in str(errors[0])
            # What was known stays known, and leaving is no failure.
            assert await ended.wait() == exit
            await viewer.detach()
            await session.detach()
            assert await host.sessions() == []
            with pytest.raises(PluginNotReady):
                await host.exec("desk", ["true"])
            await wait_until.aio(lambda: processes(tmp_path) == [])

    run(body())


def test_plugin_that_dies_while_a_session_is_opened_fails_that(run: Run, tmp_path: Path) -> None:
    code = """
        import os

        @plugin.exec("deadly")
        def deadly(ctx, opts):
            os._exit(9)
    """

    async def body() -> None:
        async with runner(tmp_path, code) as host:
            with pytest.raises(PluginDied) as caught:
                await host.exec("desk", resource="deadly", tty=False)
            assert caught.value.retryable

    run(body())


def test_stop_of_the_plugin_ends_its_sessions(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = f"trap 'echo bye; exit 7' HUP TERM; echo ready; read x; : {tmp_path}"
            sessions = [await host.exec("desk", sh(script), tty=tty) for tty in (False, True)]
            readers = [Reader(await session.attach()) for session in sessions]
            for reader in readers:
                await reader.until(b"ready")
            await host.stop("desk")
            assert processes(tmp_path) == []
            for session, reader in zip(sessions, readers, strict=True):
                exit = await session.wait()
                assert exit.code == 7
                assert "the plugin is stopping" in exit.reason
                await reader.rest()
                assert reader.stdout.split() == [b"ready", b"bye"]
                with pytest.raises(CallCancelled):
                    await session.get()

    run(body())


def test_plugin_that_is_started_again_has_new_sessions(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            old = await host.exec("desk", ["cat"], id="one", tty=False)
            await host.restart("desk")
            assert await ids(host) == []
            new = await host.exec("desk", ["cat"], id="one", tty=False)
            with pytest.raises(CallCancelled):
                await old.get()
            assert old.exit is not None
            await new.write(b"new")
            await new.close_stdin()
            assert (await read(new)).stdout == b"new"

    run(body())


def test_plugin_without_sessions_says_so(run: Run, tmp_path: Path) -> None:
    write_plugin(tmp_path, "plain")

    async def body() -> None:
        async with stage("plain", dirs=[tmp_path]) as host:
            with pytest.raises(HandlerNotFound) as caught:
                await host.exec("plain", ["true"])
            assert caught.value.data == {"handlers": []}
            assert await host.sessions() == []

    run(body())
