"""How many plugins are busy with calls that share requests, of all whose host is on one loop."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import asyncio

__all__ = ["Traffic", "traffic_of"]


class Traffic:
    """Invariant: who adds itself to `busy` takes itself off."""

    __slots__ = ("busy",)

    def __init__(self) -> None:
        self.busy = 0


_traffic: WeakKeyDictionary[asyncio.AbstractEventLoop, Traffic] = WeakKeyDictionary()


def traffic_of(loop: asyncio.AbstractEventLoop) -> Traffic:
    """What all plugins of a loop share."""
    traffic = _traffic.get(loop)
    if traffic is None:
        traffic = _traffic[loop] = Traffic()
    return traffic
