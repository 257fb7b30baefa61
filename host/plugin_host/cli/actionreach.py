"""The actions of a plugin, wherever that runs: of the running host, or of one for this command alone.

Invariant: a plugin that was started for this is stopped at the end, whatever became of the action.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from plugin_host.errors import PluginNotFound

from .contact import asked, running_host
from .lookup import chosen

if TYPE_CHECKING:
    from plugin_host.action.run import ActionRun
    from plugin_host.action.source import Data

    from .option import Options

__all__ = ["Reached", "done", "reach", "restarted"]


class Reached(Protocol):
    """What a host and its client have in common."""

    async def trigger(
        self,
        plugin: str,
        request: Any,
        data: Data | None = None,
        *,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> ActionRun: ...


@asynccontextmanager
async def reach(options: Options, plugin_id: str) -> AsyncIterator[Reached]:
    """The actions of a plugin that runs. Raises as `call` does for one that is not there or not ready."""
    client = await running_host(options, "action")
    if client is not None:
        async with client:
            try:
                yield client.actions
            except PluginNotFound as error:
                raise asked(error, client) from None
        return
    host = options.host(only=[plugin_id], restarts=False)
    plugin = chosen(host, options, plugin_id)
    async with host:
        if plugin.error is not None:
            raise plugin.error
        await host.start(plugin_id)  # a lazy one
        yield host.actions


async def done(options: Options, plugin_id: str, request: Any) -> Any:
    """The result of one action that has no output to show."""
    async with reach(options, plugin_id) as actions:
        return await (await actions.trigger(plugin_id, request)).result()


async def restarted(options: Options, plugin_id: str) -> bool:
    """Restart a plugin of the running host; False where none runs, and the plugin has been stopped."""
    client = await running_host(options, "action")
    if client is None:
        return False
    async with client:
        await client.restart(plugin_id)
    return True
