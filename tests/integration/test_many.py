"""Large numbers: plugins started at once, calls in flight, and what the host spends on them."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from plugin_host import PluginHost, State
from tests.run import Run
from tests.stage import link_of, stage, write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

CODE = """
    @plugin.command("echo")
    def echo(ctx, value=None):
        return value

    @plugin.command("nap")
    def nap(ctx, seconds):
        ctx.cancelled.wait(seconds)
        return seconds
"""


def queued_s() -> float:
    """How long this thread could have run and had no processor, since its start."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


@pytest.mark.deadline(120)
def test_two_hundred_plugins_start_answer_and_stop(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    ids = [f"p{number}" for number in range(200)]
    for id in ids:
        write_plugin(tmp_path, id, CODE)

    async def body() -> None:
        threads = threading.active_count()
        longest = 0.0

        async def feel() -> None:
            """How long the loop was kept from its other work, which is not by want of a processor."""
            nonlocal longest
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.001)
                longest = max(longest, time.monotonic() - before)

        feeling = asyncio.ensure_future(feel())
        async with stage(*ids, dirs=[tmp_path]) as host:
            assert {plugin.state for plugin in host.plugins.values()} == {State.READY}
            answers = await asyncio.gather(*(host.call(id, "echo", {"value": id}) for id in ids))
            assert answers == ids
            # While they are put into groups one thread works for all of them, and ends.
            assert threading.active_count() <= threads + 1
            await wait_until.aio(lambda: threading.active_count() == threads, 30)
            descriptors = len(os.listdir("/proc/self/fd"))
            assert descriptors < 200 * 5  # the wire, stderr, the process itself and the file for its stacks
        feeling.cancel()
        await asyncio.wait([feeling])
        assert {plugin.state for plugin in host.plugins.values()} == {State.STOPPED}
        assert longest < 2

    run(body())


def start(host: PluginHost, command: str, **params: object) -> asyncio.Future[Any]:
    """A call that goes by itself, as those with a time limit do."""
    return asyncio.ensure_future(host.call("busy", command, params, timeout=300))


@pytest.mark.deadline(60)
def test_ten_thousand_calls_that_are_made_at_once_are_all_answered(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "busy", CODE)

    async def body() -> None:
        async with stage("busy", dirs=[folder]) as host:
            naps = [asyncio.ensure_future(host.call("busy", "nap", {"seconds": 0.2})) for _ in range(32)]
            calls = [host.call("busy", "echo", {"value": n}) for n in range(10_000)]
            assert await asyncio.gather(*calls) == list(range(10_000))
            assert await asyncio.gather(*naps) == [0.2] * 32
            assert link_of(host, "busy").in_flight == 0

    run(body())


@pytest.mark.deadline(60)
def test_ten_thousand_calls_in_flight_are_all_answered(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    folder = write_plugin(tmp_path, "busy", CODE)

    async def body() -> None:
        async with stage("busy", dirs=[folder]) as host:
            threads = threading.active_count()
            link = link_of(host, "busy")
            # So slow at first that they all wait at the same time.
            naps = [start(host, "nap", seconds=0.2) for _ in range(32)]
            calls = [start(host, "echo", value=n) for n in range(10_000)]
            await asyncio.sleep(0)
            assert link.in_flight == 10_032
            assert await asyncio.gather(*calls) == list(range(10_000))
            assert await asyncio.gather(*naps) == [0.2] * 32
            assert link.in_flight == 0
            # While they are put into groups one thread works for all of them, and ends.
            assert threading.active_count() <= threads + 1
            await wait_until.aio(lambda: threading.active_count() == threads, 30)

    run(body())


def test_ten_thousand_calls_through_a_service_are_all_answered(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(
        tmp_path,
        "asker",
        """
        import asyncio
        @plugin.command("ask")
        async def ask(ctx, count):
            answers = await asyncio.gather(*(ctx.host.call("add", a=n, b=1) for n in range(count)))
            return sum(answers)
        """,
        permissions=["host.add"],
    )

    async def add(caller: object, a: int, b: int) -> int:
        await asyncio.sleep(0)
        return a + b

    async def body() -> None:
        async with stage("asker", dirs=[folder], services={"add": add}) as host:
            assert await host.call("asker", "ask", {"count": 10_000}) == sum(range(1, 10_001))

    run(body())
