"""When a plugin counts as idle: nothing was used for long enough, however the looks fall."""

from __future__ import annotations

import asyncio

from plugin_host.idleness import Idleness
from tests.run import Run
from tests.wait import WaitUntil

IDLE_S = 0.08
# A look that the loop makes late, just before the next one, makes up for a quarter of the time.
LEAST_S = IDLE_S * 0.74


class Watched:
    """What an `Idleness` is asked about and tells; the times are those of the loop."""

    def __init__(self) -> None:
        self.is_busy = False
        self.told: list[float] = []
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.idleness = Idleness(IDLE_S, lambda: self.is_busy, lambda: self.told.append(self.loop.time()))


def test_idle_is_told_after_the_idle_time_and_again_as_long_as_nothing_is_used(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        one = Watched()
        await wait_until.aio(lambda: len(one.told) >= 2)
        assert one.told[0] - one.began >= LEAST_S
        was_over = one.idleness.is_over
        one.idleness.uses += 1
        assert (was_over, one.idleness.is_over) == (True, False)
        one.idleness.close()

    run(body())


def test_use_and_business_begin_the_idle_time_anew(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        one = Watched()
        await wait_until.aio(lambda: bool(one.told))
        one.idleness.uses += 1
        used, before = one.loop.time(), len(one.told)
        await wait_until.aio(lambda: len(one.told) > before)
        assert one.told[before] - used >= LEAST_S
        one.is_busy = True
        assert not one.idleness.is_over
        await wait_until.aio(lambda: one.idleness._quiet == 0)
        freed, before = one.loop.time(), len(one.told)
        one.is_busy = False
        await wait_until.aio(lambda: len(one.told) > before)
        assert one.told[before] - freed >= LEAST_S
        one.idleness.close()

    run(body())


def test_those_of_one_idle_time_are_looked_at_in_the_same_turns(run: Run) -> None:
    async def body() -> None:
        one = Watched()
        await asyncio.sleep(IDLE_S / 10)
        other = Watched()
        apart = (other.idleness._due - one.idleness._due) / (IDLE_S / 4)
        assert abs(apart - round(apart)) < 1e-3, "looks fall on multiples of the pause, whenever one began"
        one.idleness.close()
        other.idleness.close()

    run(body())


def test_one_that_is_closed_has_no_timer_and_looks_no_more(run: Run) -> None:
    async def body() -> None:
        one = Watched()
        timer = one.idleness._timer
        assert timer is not None
        one.idleness.close()
        one.idleness.close()
        assert timer.cancelled()
        assert one.idleness._timer is None

    run(body())
