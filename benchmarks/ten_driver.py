"""The measurements of one and of ten, which take turns in short blocks: what do nine more cost a caller?"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Any

from .sample import latency
from .workload import IN_FLIGHT, WARM_UP

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    Echo = Callable[[], Awaitable[Any]]

__all__ = ["TEN", "TenDriver"]

TEN = 10
_BLOCKS = 4


class TenDriver:
    """`opened` gives a call to one child that has no siblings, and a call to each of ten.

    The loop runs only while something is measured.
    """

    def __init__(self, opened: AbstractAsyncContextManager[tuple[Echo, Sequence[Echo]]]) -> None:
        self._runner = asyncio.Runner()
        self._opened = opened
        self._one, self._ten = self._runner.run(opened.__aenter__())

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        return self._runner.run({"ten_rtt": self._trip, "ten_flight": self._flight}[verb](seconds))

    def close(self) -> None:
        self._runner.run(self._opened.__aexit__(None, None, None))
        self._runner.close()

    async def _trip(self, seconds: float) -> dict[str, float]:
        """One call at a time to one child, beside no other and beside nine that do nothing."""
        await self._warm_up()
        one: list[float] = []
        ten: list[float] = []
        for _ in range(_BLOCKS):
            one += await _times(self._one, seconds / _BLOCKS / 2)
            ten += await _times(self._ten[0], seconds / _BLOCKS / 2)
        alone = {f"one_{name}": number for name, number in latency(one).items()}
        return {**latency(ten), **alone}

    async def _flight(self, seconds: float) -> dict[str, float]:
        """The rate of all calls: of as many callers to one child, to ten, and to each of ten."""
        await self._warm_up()
        one = ten = each = 0.0
        for _ in range(_BLOCKS):
            one += await _rate([self._one], IN_FLIGHT, seconds / _BLOCKS / 3)
            ten += await _rate(self._ten, IN_FLIGHT, seconds / _BLOCKS / 3)
            each += await _rate(self._ten, IN_FLIGHT * TEN, seconds / _BLOCKS / 3)
        return {"per_s": ten / _BLOCKS, "one_per_s": one / _BLOCKS, "each_per_s": each / _BLOCKS}

    async def _warm_up(self) -> None:
        for call in (self._one, *self._ten):
            for _ in range(WARM_UP):
                await call()


async def _times(call: Echo, seconds: float) -> list[float]:
    clock, times = time.perf_counter, []
    end = clock() + seconds
    while (before := clock()) < end:
        await call()
        times.append(clock() - before)
    return times


async def _rate(calls: Sequence[Echo], callers: int, seconds: float) -> float:
    clock, done = time.perf_counter, 0
    start = clock()

    async def caller(call: Echo) -> None:
        nonlocal done
        while clock() - start < seconds:
            await call()
            done += 1

    await asyncio.gather(*(caller(call) for call in itertools.islice(itertools.cycle(calls), callers)))
    return done / (clock() - start)
