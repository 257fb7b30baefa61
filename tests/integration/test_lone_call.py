"""Calls one after the other to a plugin on the same processor, which often has answered at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator

import pytest

from plugin_host import PluginHost
from tests.run import Run
from tests.stage import link_of, stage


@pytest.fixture
def one_processor() -> Iterator[None]:
    """For this thread, and for whatever is started meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


async def call_on(host: PluginHost, numbers: list[int]) -> None:
    while True:
        numbers.append(await host.call("steady", "echo", {"value": len(numbers)}))


@pytest.mark.usefixtures("one_processor")
def test_other_tasks_have_their_turns_beside_one_that_calls_on(run: Run) -> None:
    async def body() -> None:
        async with stage("steady") as host:
            numbers: list[int] = []
            calling = asyncio.create_task(call_on(host, numbers))
            for _ in range(20):
                await asyncio.sleep(0.005)  # by a timer
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(numbers) > 20
            calling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await calling
            assert calling.cancelled()
            assert numbers == list(range(len(numbers)))
            assert link_of(host, "steady").in_flight == 0

    run(body())


@pytest.mark.usefixtures("one_processor")
def test_calls_after_each_other_are_counted_and_answered_in_order(run: Run) -> None:
    async def body() -> None:
        async with stage("steady") as host:
            for number in range(2000):
                assert await host.call("steady", "echo", {"value": number}, timeout=30) == number

    run(body())
