"""A host whose program is cancelled at every turn of the loop until it gives in, as scopes of anyio do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import CommandListeners, PluginHost
from plugin_host.control import ControlServer
from plugin_host.guest import GuestServer
from plugin_host.localsocket import LocalSocket
from tests.guest.place import offered
from tests.run import Run
from tests.stage import stage


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def cancelled_until_done(task: asyncio.Task[Any]) -> None:
    while task.cancel():  # noqa: ASYNC110 - it is the turns that matter
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


async def one_call(is_in: asyncio.Event) -> None:
    async with stage("steady") as host:
        is_in.set()
        await host.call("steady", "sleep")


def test_nothing_is_left_of_a_host_that_is_cancelled_again_and_again_during_a_call(run: Run) -> None:
    async def body() -> None:
        before, held = children(), descriptors()
        is_in = asyncio.Event()
        task = asyncio.create_task(one_call(is_in))
        await is_in.wait()
        await asyncio.sleep(0)
        await cancelled_until_done(task)
        assert children() <= before
        assert descriptors() <= held

    run(body())


@pytest.mark.parametrize("turns", range(3, 12))
def test_nothing_is_left_of_a_host_that_is_cancelled_again_and_again_while_it_starts(
    run: Run, turns: int
) -> None:
    async def body() -> None:
        before, held = children(), descriptors()
        task = asyncio.create_task(one_call(asyncio.Event()))
        for _ in range(turns):
            await asyncio.sleep(0)
        await cancelled_until_done(task)
        assert children() <= before
        assert descriptors() <= held

    run(body())


def control(host: PluginHost, folder: Path) -> ControlServer:
    return ControlServer(host, LocalSocket(path=str(folder / "control")))


def commands(host: PluginHost, folder: Path) -> CommandListeners:
    return CommandListeners(host, folder / "commands")


def guest(host: PluginHost, folder: Path) -> GuestServer:
    return GuestServer(offered("work"), path=str(folder / "guest"))


@pytest.mark.parametrize("serve", [control, commands, guest])
@pytest.mark.parametrize("is_asked_once", [True, False], ids=["once", "again and again"])
def test_what_serves_has_left_its_place_when_who_closes_it_is_cancelled(
    own_socket: str, run: Run, serve: Callable[..., AbstractAsyncContextManager[Any]], is_asked_once: bool
) -> None:
    folder = Path(own_socket).parent

    async def body() -> None:
        held = descriptors()
        server = serve(PluginHost(entry_points=False), folder)
        await server.__aenter__()
        assert set(folder.iterdir())
        task = asyncio.create_task(server.__aexit__(None, None, None))
        await asyncio.sleep(0)
        if is_asked_once:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await cancelled_until_done(task)
        assert not set(folder.iterdir())
        assert descriptors() <= held

    run(body())
