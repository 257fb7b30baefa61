"""How long a `ping` takes while the plugin's handlers are busy."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from .sample import latency

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["beside"]

# Pings come at moments that have nothing to do with those of the handlers: waits of 0 to 2 ms.
_LONGEST_PAUSE_S = 0.002


async def beside(
    ping: Callable[[], Awaitable[Any]],
    work: Callable[[], Awaitable[Any]],
    callers: int,
    seconds: float,
) -> dict[str, float]:
    """Latency of `ping` while `callers` tasks call `work` over and over; all have ended on return."""
    end = time.perf_counter() + seconds

    async def keep_busy() -> None:
        while time.perf_counter() < end:
            await work()

    workers = [asyncio.create_task(keep_busy()) for _ in range(callers)]
    times = []
    try:
        await asyncio.sleep(min(0.1, seconds / 5))  # until the handlers run
        while (before := time.perf_counter()) < end:
            await ping()
            times.append(time.perf_counter() - before)
            await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE_S))
    finally:
        await asyncio.gather(*workers)
    return latency(times)
