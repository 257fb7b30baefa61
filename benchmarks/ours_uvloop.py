"""This project: `PluginHost` on uvloop, and the benchmark plugin in its process."""

from __future__ import annotations

import importlib
from typing import Any

from .asyncio_driver import AsyncioDriver
from .ours import open_host

__all__ = ["driver"]


def driver() -> AsyncioDriver:
    uvloop: Any = importlib.import_module("uvloop")
    return AsyncioDriver(open_host, uvloop.new_event_loop)
