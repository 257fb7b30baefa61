"""Floor: the shortest asyncio msgpack-RPC loop, on uvloop."""

from __future__ import annotations

import importlib
from typing import Any

from .asyncio_driver import AsyncioDriver
from .floor_asyncio import open_loop

__all__ = ["driver"]


def driver() -> AsyncioDriver:
    uvloop: Any = importlib.import_module("uvloop")
    return AsyncioDriver(open_loop, uvloop.new_event_loop)
