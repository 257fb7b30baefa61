"""Giving calls up: from the caller's side, and what the handler hears of it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from plugin_host import CallCancelled, PluginHost
from tests.run import Run
from tests.stage import link_of, stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import asyncio, threading, time

    seen = []
    gate = threading.Event()

    @plugin.command("seen")
    def seen_(ctx):
        return list(seen)

    @plugin.command("wait")
    def wait(ctx, name="wait"):
        seen.append(f"{name} began")
        cancelled = ctx.cancelled.wait(30)
        seen.append(f"{name}: {ctx.cancelled.reason}" if cancelled else f"{name} ended")
        return cancelled

    @plugin.command("check")
    def check(ctx):
        seen.append("check began")
        while True:
            time.sleep(0.005)
            try:
                ctx.check()
            except sdk.CallCancelled as error:
                seen.append(f"check raised: {error}")
                raise

    @plugin.command("stubborn")
    def stubborn(ctx):
        seen.append("stubborn began")
        gate.wait(30)
        return "late"

    @plugin.command("open")
    def open_(ctx):
        gate.set()

    @plugin.command("nap")
    async def nap(ctx):
        seen.append("nap began")
        try:
            await asyncio.sleep(30)
        finally:
            seen.append(f"nap ended, cancelled: {bool(ctx.cancelled)}")

    @plugin.command("insomnia")
    async def insomnia(ctx):
        seen.append("insomnia began")
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return "could not sleep"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugin(tmp_path_factory.mktemp("plugins"), "demo", CODE)


@pytest.fixture
def demo(folder: Path) -> PluginHost:
    return stage("demo", dirs=[folder])


class Watch:
    """What the handlers of a plugin have seen."""

    def __init__(self, host: PluginHost, wait_until: WaitUntil) -> None:
        self.host = host
        self._wait_until = wait_until

    async def sees(self, line: str, plugin: str = "demo") -> None:
        async def look() -> bool:
            return line in await self.host.call(plugin, "seen")

        await self._wait_until.aio(look)


async def give_up(call: asyncio.Future[Any]) -> None:
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.parametrize(
    ("command", "begun", "heard"),
    [
        ("wait", "wait began", "wait: the caller cancelled"),
        ("check", "check began", "check raised: 'check' was cancelled: the caller cancelled"),
        ("nap", "nap began", "nap ended, cancelled: True"),
    ],
)
def test_cancelling_the_task_cancels_the_handler(
    run: Run, demo: PluginHost, wait_until: WaitUntil, command: str, begun: str, heard: str
) -> None:
    async def body() -> None:
        async with demo as host:
            watch = Watch(host, wait_until)
            call = asyncio.ensure_future(host.call("demo", command))
            await watch.sees(begun)
            await give_up(call)
            await watch.sees(heard)

    run(body())


def test_handler_that_ignores_cancel_answers_late_to_nobody(
    run: Run, demo: PluginHost, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with demo as host:
            watch = Watch(host, wait_until)
            call = asyncio.ensure_future(host.call("demo", "stubborn"))
            await watch.sees("stubborn began")
            began = time.monotonic()
            await give_up(call)
            assert time.monotonic() - began < 1
            await host.call("demo", "open")
            link = link_of(host, "demo")
            await wait_until.aio(lambda: link.connection.late_answers == 1)
            assert link.in_flight == 0

    run(body())


def test_async_handler_may_answer_though_it_was_cancelled(
    run: Run, demo: PluginHost, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with demo as host:
            watch = Watch(host, wait_until)
            call = asyncio.ensure_future(host.call("demo", "insomnia"))
            await watch.sees("insomnia began")
            await give_up(call)
            link = link_of(host, "demo")
            await wait_until.aio(lambda: link.connection.late_answers == 1)

    run(body())


def test_call_that_is_cancelled_while_it_waits_for_a_worker_never_runs(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    folder = write_plugin(tmp_path, "narrow", CODE + "\n    plugin.workers = 1\n")

    async def body() -> None:
        async with stage("narrow", dirs=[folder]) as host:
            first = asyncio.ensure_future(host.call("narrow", "wait", {"name": "first"}))
            queued = [
                asyncio.ensure_future(host.call("narrow", "wait", {"name": f"{n}"})) for n in range(5)
            ]
            last = asyncio.ensure_future(host.call("narrow", "seen"))
            await asyncio.sleep(0)
            for call in queued:
                await give_up(call)
            link = link_of(host, "narrow")
            await wait_until.aio(lambda: link.connection.late_answers == 5)
            await give_up(first)
            assert await last == ["first began", "first: the caller cancelled"]

    run(body())


def test_call_that_is_cancelled_before_it_was_sent_is_not_sent(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            call = asyncio.ensure_future(host.call("demo", "wait"))
            await give_up(call)
            assert await host.call("demo", "seen") == []

    run(body())


def test_many_cancels_leave_nothing_behind(run: Run, demo: PluginHost, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with demo as host:
            link = link_of(host, "demo")
            for _ in range(20):
                # Each by itself, as calls with a time limit go.
                calls = [asyncio.ensure_future(host.call("demo", "nap", timeout=60)) for _ in range(50)]
                await asyncio.sleep(0)
                for call in calls:
                    call.cancel()
                await asyncio.wait(calls)
            await wait_until.aio(lambda: not link.connection.pending and not link.connection.abandoned)
            assert link.in_flight == 0
            assert link.connection.late_answers == 1000

    run(body())


def test_many_cancels_of_calls_that_share_requests_leave_nothing_behind(
    run: Run, demo: PluginHost, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with demo as host:
            link = link_of(host, "demo")
            for turns in range(20):
                calls = [asyncio.ensure_future(host.call("demo", "nap")) for _ in range(50)]
                for _ in range(1 + turns % 3):  # before and after they are all sent
                    await asyncio.sleep(0)
                for call in calls:
                    call.cancel()
                await asyncio.wait(calls)
            await wait_until.aio(lambda: not link.connection.pending and not link.connection.abandoned)
            assert link.in_flight == 0
            assert link.joint is not None
            assert not link.joint.is_busy()
            assert not link.splits
            await host.call("demo", "seen")

    run(body())


def test_stopping_the_plugin_cancels_its_calls_as_the_host(
    run: Run, demo: PluginHost, wait_until: WaitUntil
) -> None:
    """Not as the caller: its task goes on, and hears that the host stopped the plugin."""

    async def body() -> None:
        async with demo as host:
            watch = Watch(host, wait_until)
            ignored = asyncio.ensure_future(host.call("demo", "stubborn"))
            checked = asyncio.ensure_future(host.call("demo", "check"))
            napping = asyncio.ensure_future(host.call("demo", "nap"))
            for begun in ("stubborn began", "check began", "nap began"):
                await watch.sees(begun)
            await host.stop("demo")
            for call in (ignored, checked, napping):
                with pytest.raises(CallCancelled) as caught:
                    await call
                assert caught.value.retryable
                assert "stop" in str(caught.value)

    run(body())


def test_handler_that_ends_in_time_answers_though_the_plugin_is_stopping(
    run: Run, demo: PluginHost, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with demo as host:
            call = asyncio.ensure_future(host.call("demo", "wait"))
            await Watch(host, wait_until).sees("wait began")
            await host.stop("demo")
            assert await call is True

    run(body())
