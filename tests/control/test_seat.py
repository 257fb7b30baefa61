"""What is left of the sessions of a client that stays: nothing, once they are closed or forgotten."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from plugin_host import Session
from plugin_host.control import directory
from plugin_host.control.directory import Directory
from plugin_host.errors import PluginDied, SessionClosed
from tests.control.arena import arena
from tests.run import Run
from tests.session import Reader, sh
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges


def typing() -> list[str]:
    """Tasks of the host that wait for what clients type."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("input of")]


def test_input_ends_with_its_session(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", sh("read line"), tty=False)
            await session.write(b"x")
            await wait_until.aio(lambda: len(typing()) == 1)
            await session.write(b"\n")
            await session.wait()
            await wait_until.aio(lambda: not typing())
            with pytest.raises(SessionClosed, match="it has ended: exited with status 0"):
                await session.write(b"more")

    run(body())


def test_input_ends_with_its_plugin(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            await client.exec("desk", ["cat"], tty=False)
            await wait_until.aio(lambda: len(typing()) == 1)
            with pytest.raises(PluginDied):
                await client.call("desk", "die")
            await wait_until.aio(lambda: not typing())
            (desk,) = scene.server.desks()
            await wait_until.aio(lambda: not desk.seats)

    run(body())


@pytest.mark.parametrize("runs", [False, True], ids=["ended", "running"])
def test_nothing_is_left_of_a_closed_session(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil, runs: bool
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", sh("echo up; read line"), tty=False)
            reader = Reader(await session.attach())
            await reader.until(b"up\n")
            if not runs:
                await session.write(b"\n")
                await session.wait()
            await session.close()
            await reader.rest()
            (desk,) = scene.server.desks()
            await wait_until.aio(lambda: not desk.seats)
            del session, reader

            def is_gone() -> bool:
                gc.collect()
                return not any(isinstance(one, Session) for one in gc.get_objects())

            await wait_until.aio(is_gone)

    run(body())


def test_what_plugins_have_forgotten_is_forgotten_without_being_asked_for(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "_MOST_ENDED", 4)
    code = """
        sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(
            limits=sdk.exec.SessionLimits(ended_sessions=1),
        ))
    """

    async def body() -> None:
        async with arena(tmp_path, own_socket, code=code) as scene:
            client = await scene.client()
            kept: Directory = scene.server.directory
            for _ in range(10):
                await (await client.exec("desk", ["true"], tty=False, detached=True)).wait()
            await wait_until.aio(lambda: len(kept._sessions) <= 6)
            (last,) = await client.sessions()
            await last.attach()

    run(body())
