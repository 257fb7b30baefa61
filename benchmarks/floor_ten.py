"""Floor: the shortest asyncio msgpack-RPC loop with one child, and with ten."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from .floor_asyncio import open_loop
from .ten_driver import TEN, TenDriver
from .workload import SMALL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from .ten_driver import Echo

__all__ = ["driver"]


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[Echo, Sequence[Echo]]]:
    peers = [await open_loop() for _ in range(1 + TEN)]
    one, *ten = [partial(peer.call, SMALL) for peer in peers]
    try:
        yield one, ten
    finally:
        for peer in peers:
            await peer.close()


def driver() -> TenDriver:
    return TenDriver(_opened())
