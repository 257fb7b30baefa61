"""Lazy plugins: started by the first call, once, and stopped when they had nothing to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from plugin_host import LaunchError, PluginDied, PluginHost, PluginNotReady
from plugin_host.event import EventStream, StateChanged
from plugin_host.state import State
from tests.run import Run
from tests.stage import runs, stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import os, sys, time

    @plugin.command("pid")
    def pid(ctx): return os.getpid()

    @plugin.command("nap")
    def nap(ctx, seconds: float): time.sleep(seconds); return os.getpid()

    @plugin.command("crash")
    def crash(ctx): os._exit(3)

    @plugin.command("leave")
    def leave(ctx):
        import threading
        threading.Timer(0.05, os._exit, (0,)).start()

    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts([sdk.exec.Handler("sh", default_command=["sh"])]))
"""


def sleepy(folder: Path, head: str = "", **keys: Any) -> PluginHost:
    write_plugin(folder, "sleepy", CODE, head=head, activation="lazy", **keys)
    return stage("sleepy", dirs=[folder])


def moves(events: EventStream) -> list[str]:
    """What has been told until now."""
    return [f"{one.old}-{one.new}" for one in events._waiting if isinstance(one, StateChanged)]


def test_nothing_runs_before_the_first_call(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with sleepy(tmp_path) as host:
            plugin = host.plugins["sleepy"]
            assert (plugin.state, plugin.pid) == (State.IDLE, None)
            assert await host.call("sleepy", "pid") == plugin.pid
            assert plugin.state is State.READY

    run(body())


def test_first_calls_that_come_together_start_it_once(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with sleepy(tmp_path) as host:
            events = host.events()
            pids = await asyncio.gather(*(host.call("sleepy", "pid") for _ in range(50)))
            assert len(set(pids)) == 1
            assert moves(events) == ["idle-starting", "starting-ready"]

    run(body())


@pytest.mark.parametrize("kind", ["call", "call_text", "call_many", "exec_handlers"])
def test_whatever_it_is_used_for_counts_as_use(run: Run, tmp_path: Path, kind: str) -> None:
    async def body() -> None:
        async with sleepy(tmp_path) as host:
            uses: dict[str, Callable[[], Awaitable[Any]]] = {
                "call": lambda: host.call("sleepy", "pid"),
                "call_text": lambda: host.call_text("sleepy", "pid", {}),
                "call_many": lambda: host.call_many("sleepy", "pid", [None]),
                "exec_handlers": lambda: host.exec_handlers("sleepy"),
            }
            for count in (1, 2):  # when it has to be started for it, and when it runs
                await uses[kind]()
                idleness = host._supervisors["sleepy"].idleness
                assert idleness is not None
                assert idleness.uses == count

    run(body())


def test_session_starts_it_too_and_so_does_start(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with sleepy(tmp_path) as host:
            session = await host.exec("sleepy", ["sh", "-c", "exit 4"], tty=False)
            assert (await session.wait()).code == 4
            await host.stop("sleepy")
            assert str(host.plugins["sleepy"].state) == State.STOPPED
            with pytest.raises(PluginNotReady, match="stopped"):
                await host.call("sleepy", "pid")  # stopped by hand, it stays so
            await host.start("sleepy")
            assert str(host.plugins["sleepy"].state) == State.READY

    run(body())


def test_it_is_stopped_when_it_had_nothing_to_do_and_comes_back(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with sleepy(tmp_path, idle_stop_s=0.2) as host:
            plugin = host.plugins["sleepy"]
            first = await host.call("sleepy", "pid")
            await wait_until.aio(lambda: plugin.state is State.IDLE)
            assert plugin.pid is None
            assert not runs(first)
            assert await host.call("sleepy", "pid") != first

    run(body())


@pytest.mark.parametrize("kind", ["call", "use"])
def test_use_in_the_turn_in_which_its_idle_time_ends_delays_its_stop(
    run: Run, tmp_path: Path, wait_until: WaitUntil, kind: str
) -> None:
    async def body() -> None:
        async with sleepy(tmp_path, idle_stop_s=0.2) as host:
            plugin = host.plugins["sleepy"]
            first = await host.call("sleepy", "pid")
            idleness = host._supervisors["sleepy"].idleness
            assert idleness is not None
            over, calls = idleness._on_idle, []

            def on_idle() -> None:
                idleness._on_idle = over
                if kind == "call":
                    calls.append(asyncio.create_task(host.call("sleepy", "pid")))
                over()
                if kind == "use":  # as by one that has been let in and has asked nothing yet
                    idleness.uses += 1
                asyncio.get_running_loop().call_soon(lambda: states.append(plugin.state))

            states: list[State] = []
            idleness._on_idle = on_idle
            await wait_until.aio(lambda: states)
            assert states == [State.READY]
            assert [await one for one in calls] == [first] * len(calls)
            await wait_until.aio(lambda: plugin.state is State.IDLE)

    run(body())


def test_call_that_lasts_and_session_that_is_open_keep_it(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with sleepy(tmp_path, idle_stop_s=0.1) as host:
            events = host.events()
            pid = await host.call("sleepy", "nap", {"seconds": 0.6})
            assert moves(events) == ["idle-starting", "starting-ready"]
            session = await host.exec("sleepy", ["sh", "-c", "read x; sleep 0.6"], tty=False)
            await session.write(b"\n")
            assert (await session.wait()).code == 0
            assert pid

    run(body())


def test_calls_in_quick_succession_keep_it(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with sleepy(tmp_path, idle_stop_s=1.0) as host:
            first = await host.call("sleepy", "pid")
            loop = asyncio.get_running_loop()
            end = loop.time() + 2.5
            while loop.time() < end:
                assert await host.call("sleepy", "pid") == first
                await asyncio.sleep(0.01)

    run(body())


@pytest.mark.deadline(60)
def test_calls_at_any_moment_of_the_idle_stop_succeed(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with sleepy(tmp_path, idle_stop_s=0.02) as host:
            for pause in range(25):
                assert await host.call("sleepy", "pid", timeout=10)
                await asyncio.sleep(pause / 1000)

    run(body())


def test_launch_that_fails_is_told_to_every_call_that_waited(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with sleepy(tmp_path, head="import no_such_module") as host:
            calls = (host.call("sleepy", "pid") for _ in range(5))
            for error in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(error, PluginNotReady)
                assert "no_such_module" in str(error)
            assert isinstance(host.plugins["sleepy"].error, LaunchError)
            assert str(host.plugins["sleepy"].state) == State.FAILED

    run(body())


def test_lazy_plugin_that_dies_in_a_call_is_started_again_and_one_that_leaves_is_idle(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        restart = {"backoff_initial_s": 0.05}
        async with sleepy(tmp_path, restart=restart) as host:
            with pytest.raises(PluginDied):
                await host.call("sleepy", "crash")
            assert await host.call("sleepy", "pid", timeout=10)
            await host.call("sleepy", "leave")
            await wait_until.aio(lambda: str(host.plugins["sleepy"].state) == State.IDLE)
            assert await host.call("sleepy", "pid", timeout=10)

    run(body())


def test_host_that_closes_while_a_first_call_starts_it_leaves_nothing(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with sleepy(tmp_path, head="import time; time.sleep(30)") as host:
            calls = [asyncio.create_task(host.call("sleepy", "pid")) for _ in range(3)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, PluginNotReady)

    run(body())
