"""Many plugins in one host: their folders, and the host that has started them."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks.scratch import write_plugins
from plugin_host import PluginHost
from plugin_host.configuration import Configuration, Warm
from plugin_host.state import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Launch", "closing", "folder_of", "host_of", "pids", "settle"]

Launch = Literal["warm", "cold"]

# After it is ready a plugin is moved to a group of its own, and a forkserver forks the next spare child.
_SETTLING_S = 0.5
_SESSIONS = """
sdk.exec.register_plugin(
    plugin,
    sdk.exec.PluginOpts(handlers=[sdk.exec.Handler(resource="local", default_command=["cat"])]),
)
"""


@asynccontextmanager
async def folder_of(count: int) -> AsyncIterator[Path]:
    """A folder of so many plugins, p0 and on, each with a file of its own."""
    with tempfile.TemporaryDirectory() as name:
        write_plugins(Path(name), count, _SESSIONS)
        yield Path(name)


def host_of(folder: Path, launch: Launch) -> PluginHost:
    """A host of all plugins in the folder, not started."""
    warm = Warm(launch="always" if launch == "warm" else "never")
    return PluginHost(plugin_dirs=[folder], entry_points=False, config=Configuration(warm=warm))


@asynccontextmanager
async def closing(host: PluginHost) -> AsyncIterator[PluginHost]:
    """Start it and stop it. Raises what a plugin that is not ready has as its error."""
    async with host:
        for plugin in host.plugins.values():
            if plugin.state is not State.READY:
                raise plugin.error or RuntimeError(f"plugin {plugin.id} is {plugin.state}")
        yield host


def pids(host: PluginHost) -> list[int]:
    """The processes of its plugins."""
    return [plugin.pid for plugin in host.plugins.values() if plugin.pid is not None]


async def settle() -> None:
    """Wait until what follows on a start is over."""
    await asyncio.sleep(_SETTLING_S)
