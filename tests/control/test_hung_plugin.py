"""A plugin that does not answer, and clients of others: who waits for it, and who does not."""

from __future__ import annotations

import os
import signal
import textwrap
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from plugin_host.control import ControlClient, ControlServer, connect, seat
from plugin_host.exec import opening
from plugin_host.localsocket import LocalSocket
from tests.run import Run
from tests.session import DESK, is_alive, sh
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

SLEEP = sh("exec sleep 60")


@asynccontextmanager
async def two_plugins(
    folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[ControlServer, int, ControlClient, ControlClient]]:
    """The server, the process of the plugin `hung`, which can be stopped, and two clients."""
    monkeypatch.setattr(opening, "_LIST_S", 0.2)
    monkeypatch.setattr(seat, "_DETACH_S", 0.2)
    for id in ("desk", "hung"):
        write_plugin(folder / "plugins", id, textwrap.dedent(DESK))
    async with (
        stage("desk", "hung", dirs=[folder / "plugins"]) as host,
        ControlServer(host, LocalSocket(path=path)) as server,
        AsyncExitStack() as stack,
    ):
        one, two = [await stack.enter_async_context(await connect(path)) for _ in range(2)]
        pid = host.plugins["hung"].pid
        assert pid is not None
        stack.callback(os.kill, pid, signal.SIGCONT)
        yield server, pid, one, two


def test_sessions_of_others_are_listed_and_those_of_it_as_they_were(
    tmp_path: Path, own_socket: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with two_plugins(tmp_path, own_socket, monkeypatch) as (_, pid, one, two):
            ids = [(await one.exec(plugin, SLEEP, tty=False)).id for plugin in ("desk", "hung", "hung")]
            os.kill(pid, signal.SIGSTOP)
            assert [session.id for session in await two.sessions()] == ids

    run(body())


def test_a_client_that_goes_takes_its_sessions_of_others_along(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with two_plugins(tmp_path, own_socket, monkeypatch) as (server, pid, one, two):
            await (await one.exec("hung", SLEEP, tty=False)).attach()
            running = (await one.exec("desk", SLEEP, tty=False)).info.pid
            assert running is not None
            os.kill(pid, signal.SIGSTOP)
            await one.close()
            await wait_until.aio(lambda: not is_alive(running))
            assert len((await two.status())["clients"]) == 1
            await wait_until.aio(lambda: len(server._desks) == 1)

    run(body())
