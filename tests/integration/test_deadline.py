"""Deadlines: the caller's wait ends in time, the handler knows, and late answers are dropped."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from plugin_host import CallCancelled, CallFailed, CallTimeout, PluginHost
from tests.run import Run
from tests.stage import link_of, stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import threading, time

    seen = []

    @plugin.command("seen")
    def seen_(ctx):
        return list(seen)

    @plugin.command("remaining")
    def remaining(ctx):
        return ctx.remaining()

    @plugin.command("wait")
    def wait(ctx):
        ctx.cancelled.wait(30)
        seen.append(ctx.cancelled.reason)

    @plugin.command("oversleep")
    def oversleep(ctx, seconds):
        time.sleep(seconds)
        seen.append("overslept")
        return "late"

    @plugin.command("check")
    def check(ctx):
        while True:
            ctx.check()
            time.sleep(0.002)

    @plugin.command("give_up")
    def give_up(ctx):
        raise sdk.CallTimeout("no more patience")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugin(tmp_path_factory.mktemp("plugins"), "demo", CODE)


@pytest.fixture
def demo(folder: Path) -> PluginHost:
    return stage("demo", dirs=[folder])


def test_call_without_any_time_is_not_sent_and_says_of_whom(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            with pytest.raises(CallTimeout) as caught:
                await host.call("demo", "oversleep", {"seconds": 0}, timeout=0)
            assert str(caught.value) == "demo oversleep: the deadline passed before the call was sent"
            assert await host.call("demo", "seen") == []

    run(body())


def test_call_past_its_deadline_fails_in_time_and_the_handler_hears(
    run: Run, demo: PluginHost, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with demo as host:
            began = time.monotonic()
            with pytest.raises(CallTimeout) as caught:
                await host.call("demo", "wait", timeout=0.2)
            assert 0.19 < time.monotonic() - began < 2
            assert "demo wait: no answer within 0.2 s" in str(caught.value)
            assert (caught.value.name, caught.value.code) == ("command.timeout", 104)

            async def heard() -> list[str]:
                lines: list[str] = await host.call("demo", "seen")
                return lines

            assert await wait_until.aio(heard) == ["the caller cancelled"]

    run(body())


def test_late_answer_is_dropped(run: Run, demo: PluginHost, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with demo as host:
            with pytest.raises(CallTimeout):
                await host.call("demo", "oversleep", {"seconds": 0.8}, timeout=0.4)
            link = link_of(host, "demo")
            await wait_until.aio(lambda: link.connection.late_answers == 1)
            assert await host.call("demo", "seen") == ["overslept"]

    run(body())


def test_handler_knows_how_much_time_is_left(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("demo", "remaining") is None
            left = await host.call("demo", "remaining", timeout=30)
            assert 25 < left <= 30

    run(body())


def test_handler_may_give_up_at_the_deadline_by_itself(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            with pytest.raises((CallTimeout, CallCancelled)):
                await host.call("demo", "check", timeout=0.1)
            # One who gives up before it is no timeout of the call.
            with pytest.raises(CallFailed, match="raised CallTimeout: no more patience"):
                await host.call("demo", "give_up")

    run(body())


def test_expired_work_is_refused_before_it_starts(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "narrow", CODE + "\n    plugin.workers = 1\n")

    async def body() -> None:
        async with stage("narrow", dirs=[folder]) as host:
            first = asyncio.ensure_future(host.call("narrow", "oversleep", {"seconds": 0.3}))
            calls = [
                asyncio.ensure_future(host.call("narrow", "oversleep", {"seconds": 0}, timeout=0.1))
                for _ in range(10)
            ]
            await asyncio.wait(calls)
            assert all(isinstance(call.exception(), CallTimeout) for call in calls)
            assert await first == "late"
            assert await host.call("narrow", "seen") == ["overslept"]

    run(body())


def test_many_deadlines_expire_each_at_its_time(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:

            async def timed(timeout: float) -> float:
                began = time.monotonic()
                with pytest.raises(CallTimeout):
                    await host.call("demo", "wait", timeout=timeout)
                return time.monotonic() - began - timeout

            # Neither in the order of their times nor against it.
            late = await asyncio.gather(*(timed(0.05 + (n * 7 % 20) / 50) for n in range(20)))
            assert max(late) < 1
            assert min(late) > -0.01

    run(body())


def test_deadline_of_a_stuck_plugin_passes_all_the_same(run: Run) -> None:
    async def body() -> None:
        async with stage("never_reads") as host:
            with pytest.raises(CallTimeout):
                await host.call("never_reads", "anything", timeout=0.1)

    run(body())
