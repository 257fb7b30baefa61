"""Sessions of a plugin that was replaced, or has nothing else to do: it waits until they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin_host import PluginHost, SessionExists
from plugin_host.instance import Instance
from plugin_host.state import State
from tests.run import Run
from tests.session import Reader, read, runner, sh
from tests.stage import runs
from tests.wait import WaitUntil

SIZE = 1_100_000  # more than a viewer is sent ahead of its reading, and by less than a pipe holds

LIMITS = """
    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(
        handlers=[sdk.exec.Handler("brief", default_command=["sh"])],
        limits=sdk.exec.SessionLimits(ended_s=0),
    ))
"""


async def replaced(host: PluginHost) -> Instance:
    """Reload the plugin; the instance that only finishes."""
    await host.reload("desk")
    old, _ = host._supervisors["desk"].instances
    return old


def test_viewer_of_a_replaced_plugin_gets_every_byte(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh(f"read x; head -c {SIZE} /dev/zero"), tty=False)
            viewer = await session.attach()
            old = await replaced(host)
            await session.write(b"\n")
            async for item in viewer:
                total = len(item.data)  # type: ignore[union-attr]
                break
            await session.wait()
            assert old.is_busy, "a viewer has not read all"
            async for item in viewer:
                total += len(item.data)  # type: ignore[union-attr]
            assert total == SIZE
            await wait_until.aio(lambda: not runs(old.pid))

    run(body())


def test_session_that_ended_after_the_reload_can_be_read(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("read x; echo result"), tty=False)
            old = await replaced(host)
            await session.write(b"\n")
            await session.wait()
            assert old.is_busy, "nobody has read it"
            async with await session.attach():
                pass
            assert old.is_busy, "who looked has left before the end"
            assert (await read(session)).stdout == b"result\n"
            await wait_until.aio(lambda: not runs(old.pid))

    run(body())


def test_session_that_is_closed_is_not_waited_for(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("read x"), tty=False)
            closed = await host.exec("desk", sh("read x"), tty=False)
            old = await replaced(host)
            await closed.close()
            await session.write(b"\n")
            await session.wait()
            await session.close()
            await wait_until.aio(lambda: not runs(old.pid))

    run(body())


def test_session_that_its_plugin_keeps_no_longer_is_not_waited_for(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path, LIMITS) as host:
            session = await host.exec("desk", sh("read x"), resource="brief", tty=False, detached=True)
            old = await replaced(host)
            await session.write(b"\n")
            await session.wait()
            await wait_until.aio(lambda: not runs(old.pid))

    run(body())


def test_id_of_a_session_of_the_old_version_is_taken(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("read x; echo result"), id="nap", tty=False)
            old = await replaced(host)
            with pytest.raises(SessionExists, match="before the plugin was reloaded"):
                await host.exec("desk", ["true"], id="nap")
            assert await host.sessions() == [session]
            await session.write(b"\n")
            await session.wait()
            with pytest.raises(SessionExists):  # it is still kept
                await host.exec("desk", ["true"], id="nap")
            assert (await read(session)).stdout == b"result\n"
            await wait_until.aio(lambda: not runs(old.pid))
            assert (await host.exec("desk", ["true"], id="nap")) is not session

    run(body())


def test_lazy_plugin_is_idle_once_its_sessions_are_read(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path, activation="lazy", idle_stop_s=0.05) as host:
            session = await host.exec("desk", sh(f"head -c {SIZE} /dev/zero"), tty=False)
            (only,) = host._supervisors["desk"].instances
            reader = Reader(await session.attach())
            await reader.until(b"\0")
            await session.wait()
            assert only.is_busy, "a viewer has not read all"
            await reader.rest()
            assert len(reader.stdout) == SIZE
            await wait_until.aio(lambda: host.plugins["desk"].state is State.IDLE)

    run(body())
