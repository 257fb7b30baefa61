"""Nobody waits any more in the very turn in which a plugin is ready, or stopped: nothing runs unowned."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from plugin_host import LaunchError, PluginHost
from plugin_host.instance import Instance
from plugin_host.state import State
from tests.run import Run
from tests.stage import runs, stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts([sdk.exec.Handler("sh", default_command=["sh"])]))
"""


class Launches:
    """Every launch from now on; `then` is called when one succeeds, before who waits for it goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pids: list[int] = []
        self.then: Callable[[], object] | None = None
        self.before_ready: Callable[[], Awaitable[object]] | None = None
        original = Instance.launch

        async def launch(instance: Instance) -> None:
            await original(instance)
            assert instance.pid is not None
            self.pids.append(instance.pid)
            if self.before_ready is not None:
                await self.before_ready()
            if self.then is not None:
                asyncio.get_running_loop().call_soon(self.then)
                self.then = None

        monkeypatch.setattr(Instance, "launch", launch)

    def running(self) -> list[int]:
        return [pid for pid in self.pids if runs(pid)]


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Iterator[Launches]:
    seen = Launches(monkeypatch)
    yield seen
    assert seen.running() == []  # the host was closed


def demo(folder: Path, **keys: Any) -> PluginHost:
    write_plugin(folder, "demo", CODE, **keys)
    return stage("demo", dirs=[folder])


def test_start_that_is_cancelled_as_it_succeeds_leaves_no_process(
    run: Run, tmp_path: Path, launches: Launches, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with demo(tmp_path) as host:
            await host.stop("demo")
            start = asyncio.create_task(host.start("demo"))
            launches.then = start.cancel
            with pytest.raises(asyncio.CancelledError):
                await start
            assert len(launches.pids) == 2
            assert host.plugins["demo"].state is State.FAILED
            await wait_until.aio(lambda: launches.running() == [])
            await host.start("demo")

    run(body())


@pytest.mark.parametrize("how", ["reload", "start"])
def test_launch_that_is_cancelled_as_it_succeeds_is_ended_with_its_host(
    run: Run, tmp_path: Path, launches: Launches, how: str
) -> None:
    async def body() -> None:
        async with demo(tmp_path) as host:
            if how == "start":
                await host.stop("demo")
            task = asyncio.create_task(getattr(host, how)("demo"))
            launches.then = task.cancel
            with pytest.raises(asyncio.CancelledError):
                await task
        assert len(launches.pids) == 2

    run(body())


def test_reload_that_is_cancelled_as_its_launch_succeeds_changes_nothing(
    run: Run, tmp_path: Path, launches: Launches, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with demo(tmp_path) as host:
            reload = asyncio.create_task(host.reload("demo"))
            launches.then = reload.cancel
            with pytest.raises(asyncio.CancelledError):
                await reload
            await wait_until.aio(lambda: launches.running() == [host.plugins["demo"].pid])
            assert host.plugins["demo"].state is State.READY

    run(body())


def test_reload_that_is_cancelled_while_a_dead_predecessor_is_cleared_away_leaves_no_process(
    run: Run, tmp_path: Path, launches: Launches, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with demo(tmp_path, restart={"backoff_initial_s": 0.01}) as host:
            plugin, old = host.plugins["demo"], host.plugins["demo"].pid

            async def die() -> None:
                launches.before_ready = None
                assert old is not None
                os.kill(old, SIGKILL)
                await wait_until.aio(lambda: plugin.state is State.BACKOFF)

            original = Instance.wait_cleared

            async def wait_cleared(_: Instance) -> None:
                monkeypatch.setattr(Instance, "wait_cleared", original)
                reload.cancel()
                await asyncio.sleep(0)

            monkeypatch.setattr(Instance, "wait_cleared", wait_cleared)
            launches.before_ready = die
            reload = asyncio.create_task(host.reload("demo"))
            with pytest.raises(asyncio.CancelledError):
                await reload
            await wait_until.aio(lambda: plugin.state is State.READY)  # it is started again all the same
            await wait_until.aio(lambda: launches.running() == [plugin.pid])

    run(body())


def test_stop_as_a_restart_succeeds_finds_the_plugin_stopped(
    run: Run, tmp_path: Path, launches: Launches, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with demo(tmp_path, restart={"backoff_initial_s": 0.01}) as host:
            stop = host._supervisors["demo"].stop()
            launches.then = lambda: stop.send(None)  # its first step, for which a task would come too late
            pid = host.plugins["demo"].pid
            assert pid is not None
            os.kill(pid, SIGKILL)
            await wait_until.aio(lambda: len(launches.pids) == 2)
            stop.close()
            await host.stop("demo")
            assert host.plugins["demo"].state is State.STOPPED
            assert launches.running() == []

    run(body())


@pytest.mark.parametrize("how", ["stop", "close"])
@pytest.mark.parametrize("turns", range(1, 5))
def test_end_that_is_cancelled_forgets_no_replaced_instance(
    run: Run, tmp_path: Path, launches: Launches, how: str, turns: int
) -> None:
    async def body() -> None:
        async with demo(tmp_path) as host:
            await host.exec("demo", ["sleep", "500"])
            await host.reload("demo")
            task = asyncio.create_task(host.stop("demo") if how == "stop" else host.close())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(launches.pids) == 2
            # Whoever waited for that waits no longer, and may never ask again.
            assert not runs(launches.pids[1])
            assert host.plugins["demo"].state is State.STOPPED

    run(body())


def test_launch_that_succeeds_although_it_was_called_off_is_not_adopted(
    run: Run, tmp_path: Path, launches: Launches
) -> None:
    async def body() -> None:
        async with demo(tmp_path) as host:
            await host.stop("demo")
            start = asyncio.create_task(host.start("demo"))
            launches.then = host._supervisors["demo"]._launching.call_off
            with pytest.raises(LaunchError, match="was stopped while it started"):
                await start
            assert host.plugins["demo"].state is State.STOPPED

    run(body())
