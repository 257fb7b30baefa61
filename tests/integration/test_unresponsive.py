"""Plugins that do not answer: told with what they do, ended, and started again with the stacks reported."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import InitializeTimeout, PluginDied, PluginHost, hang
from plugin_host.event import DeathTold, EventStream, HealthChanged
from plugin_host.hang import HangReport
from plugin_host.health import Condition, HealthMonitor
from plugin_host.state import State
from plugin_host.vitals import Vitals
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import ctypes, os, threading, time

    enough = threading.Event()

    @plugin.command("pid")
    def pid(ctx): return os.getpid()

    @plugin.command("gil")
    def gil(ctx):
        ctypes.PyDLL(None).sleep(100)  # in C, without letting go of the interpreter

    @plugin.command("loop")
    async def loop(ctx):
        time.sleep(100)  # blocks the event loop

    @plugin.command("compute")
    def compute(ctx):
        rounds = 0
        while not enough.is_set(): rounds += 1
        return rounds

    @plugin.command("enough")
    async def stop_computing(ctx): enough.set()
"""
# All workers wait for each other until somebody else gives one lock away; meanwhile it logs.
KNOT = """
    import asyncio, logging, os, threading

    plugin = sdk.Plugin("patient", version="1.0.0", workers=2)
    first, second, both = threading.Lock(), threading.Lock(), threading.Barrier(2)

    @plugin.command("left")
    def left(ctx):
        with first:
            both.wait()
            with second: return "left"  # knotted

    @plugin.command("right")
    def right(ctx):
        second.acquire()
        both.wait()
        with first: return "right"  # knotted

    @plugin.command("pid")
    def pid(ctx): return os.getpid()

    @plugin.command("talk")
    async def talk(ctx):
        while second.locked():
            logging.getLogger("demo").warning("still here")
            await asyncio.sleep(0.05)

    @plugin.command("untie")
    async def untie(ctx): second.release()
"""
QUICK = {"interval_s": 0.2, "timeout_s": 0.5, "misses": 3}


def patient(folder: Path, head: str = "", code: str = CODE, **keys: Any) -> PluginHost:
    health = {**QUICK, **keys.pop("health", {})}
    restart = {"backoff_initial_s": 0.05}
    write_plugin(folder, "patient", code, head=head, health=health, restart=restart, **keys)
    return stage("patient", dirs=[folder])


async def next_of(
    events: EventStream, kind: type[Any], is_wanted: Callable[[Any], bool] = lambda _: True
) -> Any:
    async for event in events:
        if isinstance(event, kind) and is_wanted(event):
            return event
    raise AssertionError("the host has ended")


async def trouble(events: EventStream, words: str) -> HealthChanged:
    """The next time that the plugin is told to be unresponsive, and of which the reason has these words.

    On a busy machine any plugin may seem to be for a moment.
    """
    told: HealthChanged = await next_of(
        events, HealthChanged, lambda one: not one.healthy and words in one.reason
    )
    return told


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
            told = await trouble(events, verdict)
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
            counted = (await host.metrics())["plugins"]["patient"]
            assert counted["unresponsive"] >= 1
            assert counted["health_misses"] >= counted["unresponsive"]

    run(body())


@pytest.mark.deadline(60)
def test_stopped_process_is_told_as_stopped_and_replaced(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with patient(tmp_path) as host:
            events = host.events()
            pid = await host.call("patient", "pid")
            os.kill(pid, signal.SIGSTOP)
            await trouble(events, "stopped")
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
            await trouble(events, "stopped")
            assert not host.plugins["patient"].healthy
            assert host.plugins["patient"].state is State.READY
            os.kill(pid, signal.SIGCONT)
            assert (await next_of(events, HealthChanged)).healthy
            assert await host.call("patient", "pid") == pid
            assert host.plugins["patient"].healthy

    run(body())


@pytest.mark.deadline(60)
def test_busy_interpreter_is_no_hang(
    run: Run, tmp_path: Path, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five answers come beside a loop of Python, which has the processor all the while."""
    answers: list[str | None] = []  # what ran at each of them
    answered = HealthMonitor.answered

    def count(monitor: HealthMonitor, now: float, vitals: Vitals | None) -> Condition | None:
        answers.append(vitals.oldest if vitals is not None else None)
        return answered(monitor, now, vitals)

    async def body() -> None:
        async with patient(tmp_path, health={"timeout_s": 2.0}) as host:
            events = host.events()
            process = psutil.Process(host.plugins["patient"].pid)
            call = asyncio.create_task(host.call("patient", "compute"))
            await wait_until.aio(lambda: "compute" in answers)
            answers.clear()
            used = sum(process.cpu_times()[:2])
            await wait_until.aio(
                lambda: len(answers) >= 5 and sum(process.cpu_times()[:2]) - used >= 0.3, timeout=30
            )
            assert set(answers) == {"compute"}
            assert not call.done()
            await host.call("patient", "enough")
            assert await call > 10_000
            assert not any(isinstance(one, HealthChanged) for one in events._waiting)

    monkeypatch.setattr(HealthMonitor, "answered", count)
    run(body())


@pytest.mark.deadline(60)
def test_deadlock_of_all_workers_is_told_with_its_place_and_the_plugin_lives_on(
    run: Run, tmp_path: Path
) -> None:
    async def body() -> None:
        async with patient(tmp_path, code=KNOT, health={"timeout_s": 1.5}) as host:
            events, pid = host.events(), host.plugins["patient"].pid
            calls = [
                asyncio.create_task(host.call("patient", command))
                for command in ("left", "right", "pid", "pid", "talk")
            ]
            told = await trouble(events, "none of its calls has ended for")
            assert told.cause == "stalled"
            assert "with 3 running and 2 waiting" in told.reason
            assert "its oldest call is `left`" in told.reason
            assert "patient_plugin.py:" in told.reason
            healthy = [host.plugins["patient"].healthy]
            assert not any(call.done() for call in calls)
            await host.call("patient", "untie")
            again = await next_of(events, HealthChanged, lambda one: one.healthy)
            assert again.cause is None
            assert await asyncio.gather(*calls) == ["left", "right", pid, pid, None]
            healthy.append(host.plugins["patient"].healthy)
            assert healthy == [False, True]
            logged = [record.message for record in host.logs.records("patient")]
            assert any(text.startswith("plugin patient is stalled: none of its calls") for text in logged)
            assert any(text.startswith("plugin patient goes on: ") for text in logged)

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
def test_stop_does_not_wait_for_an_inquiry(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inquiry is one that does not end before the stop does."""

    async def body() -> None:
        begun, over, called_off = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def examine(process: object, link: object) -> HangReport:
            begun.set()
            try:
                await over.wait()
            except asyncio.CancelledError:
                called_off.set()
                raise
            return HangReport("it was stopped", "none", "stopped")

        monkeypatch.setattr(hang, "examine", examine)
        async with patient(tmp_path, health={"action": "report"}) as host:
            pid = await host.call("patient", "pid")
            os.kill(pid, signal.SIGSTOP)
            await begun.wait()
            stopping = asyncio.create_task(host.stop("patient"))
            done, _ = await asyncio.wait({stopping}, timeout=10)
            over.set()
            await stopping
            assert done
            assert called_off.is_set()
            assert host.plugins["patient"].state is State.STOPPED
            assert host.plugins["patient"].healthy, "or it would be listed as unresponsive"

    run(body())
