"""Many deadlines with one timer."""

from __future__ import annotations

import asyncio
import random

from plugin_host.deadline import Deadlines
from tests.run import Run
from tests.wait import WaitUntil


def test_each_key_expires_at_its_time_whatever_the_order(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        expired: dict[int, float] = {}
        deadlines = Deadlines(loop, lambda key: expired.update({key: loop.time()}))
        now = loop.time()
        times = {key: now + 0.01 + key * 0.002 for key in range(30)}
        keys = list(times)
        random.Random(7).shuffle(keys)
        for key in keys:
            deadlines.add(key, times[key])
        await wait_until.aio(lambda: len(expired) == 30)
        assert all(expired[key] >= times[key] - 0.001 for key in times)
        assert not deadlines.times

    run(body())


def test_key_that_was_taken_out_does_not_expire(run: Run) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        expired: list[int] = []
        deadlines = Deadlines(loop, expired.append)
        for key in range(5):
            deadlines.add(key, loop.time() + 0.01)
        del deadlines.times[2]
        await asyncio.sleep(0.03)
        assert sorted(expired) == [0, 1, 3, 4]

    run(body())


def test_key_that_is_added_while_others_expire_is_watched(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        expired: list[int] = []

        def expire(key: int) -> None:
            expired.append(key)
            if key < 5:
                deadlines.add(key + 1, loop.time())

        deadlines = Deadlines(loop, expire)
        deadlines.add(0, loop.time())
        await wait_until.aio(lambda: expired == [0, 1, 2, 3, 4, 5])

    run(body())


def test_closed_table_expires_nothing(run: Run) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        expired: list[int] = []
        deadlines = Deadlines(loop, expired.append)
        deadlines.add(1, loop.time() + 0.005)
        deadlines.close()
        deadlines.close()
        await asyncio.sleep(0.02)
        assert expired == []

    run(body())


def test_time_that_has_passed_expires_at_the_next_turn(run: Run) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        expired: list[int] = []
        deadlines = Deadlines(loop, expired.append)
        deadlines.add(1, loop.time() - 5)
        assert expired == []
        await asyncio.sleep(0.005)
        assert expired == [1]

    run(body())


def test_expiry_that_ends_everything_takes_the_other_keys_with_it(run: Run) -> None:
    async def body() -> None:
        loop, expired, first = asyncio.get_running_loop(), [], asyncio.Event()

        def expire(key: int) -> None:
            expired.append(key)
            deadlines.close()
            first.set()

        deadlines = Deadlines(loop, expire)
        when = loop.time() + 0.01
        for key in range(5):
            deadlines.add(key, when)
        await first.wait()
        await asyncio.sleep(0)  # what the timer raised would be reported by now, and fail the test
        assert expired == [0]

    run(body())
