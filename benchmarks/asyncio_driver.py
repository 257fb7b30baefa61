"""The measurements, for contestants whose calls are awaited."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

from .sample import latency
from .workload import BIG, IN_FLIGHT, SMALL, WARM_UP

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

__all__ = ["AsyncioDriver", "AsyncioPeer"]


class AsyncioPeer(Protocol):
    """A contestant that lives on a loop."""

    def call(self, payload: bytes) -> Awaitable[Any]:
        """The echo of the payload."""
        ...

    async def close(self) -> None:
        """End the child."""
        ...


class AsyncioDriver:
    """Measures what `open_peer` starts; the loop runs only while something is measured."""

    def __init__(
        self,
        open_peer: Callable[[], Coroutine[Any, Any, AsyncioPeer]],
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        self._runner = asyncio.Runner(loop_factory=loop_factory)
        self._peer = self._runner.run(open_peer())
        self._runner.run(self._warm_up())

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        return self._runner.run(self._measure(verb, seconds))

    def close(self) -> None:
        self._runner.run(self._peer.close())
        self._runner.close()

    async def _measure(self, verb: str, seconds: float) -> dict[str, float]:
        special = getattr(self._peer, "special", None)
        if special is not None and (measurement := special(verb)) is not None:
            figures: dict[str, float] = await measurement(seconds)
            return figures
        await self._warm_up()
        return await {"rtt": self._rtt, "flight": self._flight, "big": self._big}[verb](seconds)

    async def _warm_up(self) -> None:
        for _ in range(WARM_UP):
            await self._peer.call(SMALL)

    async def _rtt(self, seconds: float) -> dict[str, float]:
        call, clock = self._peer.call, time.perf_counter
        times = []
        end = clock() + seconds
        while (before := clock()) < end:
            await call(SMALL)
            times.append(clock() - before)
        return latency(times)

    async def _flight(self, seconds: float) -> dict[str, float]:
        call, clock = self._peer.call, time.perf_counter
        calls = 0
        start = clock()

        async def caller() -> None:
            nonlocal calls
            while clock() - start < seconds:
                await call(SMALL)
                calls += 1

        await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
        return {"per_s": calls / (clock() - start)}

    async def _big(self, seconds: float) -> dict[str, float]:
        clock = time.perf_counter
        start = clock()
        calls = 0
        while clock() - start < seconds:
            if len(await self._peer.call(BIG)) != len(BIG):
                raise ValueError("the echo has another length")
            calls += 1
        return {"mb_per_s": calls * len(BIG) / 1e6 / (clock() - start)}
