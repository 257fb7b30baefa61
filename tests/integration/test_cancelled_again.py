"""A host whose program is cancelled at every turn of the loop until it gives in, as scopes of anyio do."""

from __future__ import annotations

import asyncio
import os

import psutil
import pytest

from tests.run import Run
from tests.stage import stage


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def cancelled_until_done(task: asyncio.Task[None]) -> None:
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
