"""This project: a host with one plugin and a host with ten."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_host import PluginHost

from .scratch import write_plugins
from .ten_driver import TEN, TenDriver
from .workload import SMALL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from .ten_driver import Echo

__all__ = ["driver"]


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[Echo, Sequence[Echo]]]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        ids = write_plugins(Path(name), TEN)
        async with (
            PluginHost(plugin_dirs=[Path(name)], entry_points=False, only=ids[:1]) as one,
            PluginHost(plugin_dirs=[Path(name)], entry_points=False) as ten,
        ):
            yield _call(one, ids[0]), [_call(ten, id) for id in ids]


def _call(host: PluginHost, id: str) -> Echo:
    return partial(host.call, id, "echo", {"payload": SMALL})


def driver() -> TenDriver:
    return TenDriver(_opened())
