"""This project's end of the session benchmarks: a host with the plugin that runs sessions."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_host import PluginHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from plugin_host import Session

__all__ = ["PLUGIN", "closing", "open_host", "plugin_pid"]

PLUGIN = "sessions"
_FOLDER = Path(__file__).with_name("session_plugin")


@asynccontextmanager
async def open_host() -> AsyncIterator[PluginHost]:
    """The host with its plugin started. Raises LaunchError when the plugin does not start."""
    async with PluginHost(plugin_dirs=[_FOLDER], entry_points=False, only=[PLUGIN]) as host:
        error = host.plugins[PLUGIN].error
        if error is not None:
            raise error
        yield host


@asynccontextmanager
async def closing(
    host: PluginHost, command: Sequence[str], *, tty: bool, detached: bool = False, direct: bool = False
) -> AsyncIterator[Session]:
    """A session that is closed at the end."""
    session = await host.exec(PLUGIN, command, tty=tty, detached=detached, direct=direct)
    try:
        yield session
    finally:
        await session.close()


def plugin_pid(host: PluginHost) -> int:
    """The plugin's process."""
    pid = host.plugins[PLUGIN].pid
    assert pid is not None
    return pid
