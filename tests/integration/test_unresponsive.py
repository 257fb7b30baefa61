"""Plugins that do not answer: told with what they do, ended, and started again with the stacks reported."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from plugin_host import InitializeTimeout, PluginDied, PluginHost
from plugin_host.event import DeathTold, EventStream, HealthChanged
from plugin_host.state import State
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import ctypes, os, time

    @plugin.command("pid")
    def pid(ctx): return os.getpid()

    @plugin.command("gil")
    def gil(ctx):
        ctypes.PyDLL(None).sleep(100)  # in C, without letting go of the interpreter

    @plugin.command("loop")
    async def loop(ctx):
        time.sleep(100)  # blocks the event loop

    @plugin.command("compute")
    def compute(ctx, seconds: float):
        end = time.monotonic() + seconds
        while time.monotonic() < end: pass
        return "computed"
"""
QUICK = {"interval_s": 0.2, "timeout_s": 0.3, "misses": 2}


def patient(folder: Path, head: str = "", **keys: Any) -> PluginHost:
    health = {**QUICK, **keys.pop("health", {})}
    restart = {"backoff_initial_s": 0.05}
    write_plugin(folder, "patient", CODE, head=head, health=health, restart=restart, **keys)
    return stage("patient", dirs=[folder])


async def next_of(events: EventStream, kind: type[Any]) -> Any:
    async for event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError("the host has ended")


@pytest.mark.deadline(60)
@pytest.mark.parametrize(
    ("command", "place", "verdict"),
    [("gil", "in gil", "has not answered for"), ("loop", "in loop", "event loop has not come round")],
)
def test_hang_is_told_with_its_place_and_ended_and_the_plugin_comes_back(
    run: Run, tmp_path: Path, command: str, place: str, verdict: str
) -> None:
    async def body() -> None:
        async with patient(tmp_path) as host:
            events = host.events()
            call = asyncio.create_task(host.call("patient", command))
            told = await next_of(events, HealthChanged)
            assert not told.healthy
            assert verdict in told.reason
            assert "patient_plugin.py:" in told.reason
            with pytest.raises(PluginDied) as caught:
                await call
            report = caught.value.report
            assert report is not None
            assert report.how.startswith("was unresponsive and killed by the host: ")
            assert verdict in report.how
            assert report.hang is not None
            assert place in report.hang
            assert report.calls == (command,)
            assert "what it was doing:" in str(caught.value)
            death = await next_of(events, DeathTold)
            assert death.report is report
            assert await host.call("patient", "pid", timeout=20)
            assert host.plugins["patient"].healthy

    run(body())


@pytest.mark.deadline(60)
def test_stopped_process_is_told_as_stopped_and_replaced(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with patient(tmp_path) as host:
            events = host.events()
            pid = await host.call("patient", "pid")
            os.kill(pid, signal.SIGSTOP)
            told = await next_of(events, HealthChanged)
            assert "stopped" in told.reason
            await next_of(events, DeathTold)
            assert await host.call("patient", "pid", timeout=20) != pid

    run(body())


@pytest.mark.deadline(60)
def test_one_that_is_only_reported_lives_on_and_recovers(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with patient(tmp_path, health={"action": "report"}) as host:
            events = host.events()
            pid = await host.call("patient", "pid")
            os.kill(pid, signal.SIGSTOP)
            assert not (await next_of(events, HealthChanged)).healthy
            assert not host.plugins["patient"].healthy
            assert host.plugins["patient"].state is State.READY
            os.kill(pid, signal.SIGCONT)
            assert (await next_of(events, HealthChanged)).healthy
            assert await host.call("patient", "pid") == pid
            assert host.plugins["patient"].healthy

    run(body())


@pytest.mark.deadline(60)
def test_busy_interpreter_is_no_hang(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with patient(tmp_path, health={"timeout_s": 2.0}) as host:
            events = host.events()
            assert await host.call("patient", "compute", {"seconds": 2.0}) == "computed"
            assert not any(isinstance(one, HealthChanged) for one in events._waiting)

    run(body())


@pytest.mark.deadline(60)
def test_long_import_is_no_hang(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        host = patient(tmp_path, head="import time; time.sleep(2)")
        events = host.events()
        async with host:
            assert host.plugins["patient"].state is State.READY
        assert not [one async for one in events if isinstance(one, HealthChanged)]

    run(body())


def test_import_that_takes_too_long_is_told_with_its_line(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        head = "import time; time.sleep(60)"
        async with patient(tmp_path, head, launch={"start_timeout_s": 1.0}) as host:
            error = host.plugins["patient"].error
            assert isinstance(error, InitializeTimeout)
            assert "patient_plugin.py:" in str(error)
            death = host.plugins["patient"].death
            assert death is not None
            assert death.phase == "import"
            assert death.hang is not None

    run(body())


@pytest.mark.deadline(60)
def test_stop_does_not_wait_for_an_inquiry(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with patient(tmp_path) as host:
            pid = await host.call("patient", "pid")
            os.kill(pid, signal.SIGSTOP)
            await wait_until.aio(lambda: not host.plugins["patient"].healthy)
            started = time.monotonic()
            await host.stop("patient")
            assert time.monotonic() - started < 6

    run(body())
