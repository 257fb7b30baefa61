"""Requests of a plugin's own listener, as calls of the plugin's commands."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from plugin_host.journal import Journal

from .outcome import reply_to
from .reply import Reply, Status, lifted

if TYPE_CHECKING:
    from plugin_host.host import PluginHost

    from .request import Request

__all__ = ["Forwarder", "called"]

_PARAMS = "Params"


class Forwarder:
    """Answers with what the plugin answers: `Command` names the command, free fields are its parameters.

    A plugin that speaks plain msgpack-RPC takes positions: the list in the field `Params`.
    """

    def __init__(self, host: PluginHost, plugin: str, timeout_s: float | None = None) -> None:
        self._host = host
        self._plugin = plugin
        self._timeout_s = timeout_s

    async def answer(self, request: Request) -> Reply:
        """Raises nothing but cancellation, which cancels the call."""
        plugin = self._host.plugins.get(self._plugin)
        if not request.command:
            known = plugin.commands if plugin is not None else []
            text = f"no Command was given; `{self._plugin}` has: {', '.join(known) or 'none'}"
            return Reply(Status.NOT_FOUND, text)
        params: Any = request.to_map()
        if plugin is not None and plugin.is_raw:
            params = request.get(_PARAMS, [])
            if not isinstance(params, list):
                text = f"$.{_PARAMS}: expected a list: `{self._plugin}` takes no named parameters"
                return Reply(Status.BAD_REQUEST, text)
        return await called(self._host, self._plugin, request.command, params, self._timeout_s)


async def called(
    host: PluginHost, plugin: str, command: str, params: Any, timeout_s: float | None
) -> Reply:
    """The reply that one call comes to, however it ends.

    Where a handler failed is told in the log of its plugin: nobody else hears of it.
    """
    try:
        return Reply(fields=lifted(await host.call(plugin, command, params, timeout=timeout_s)))
    except Exception as error:
        reply = reply_to(error, f"{plugin} {command}")
    if reply.traceback:
        text = f"plugin {plugin}: command {command!r} failed\n{reply.traceback.rstrip()}"
        Journal(plugin, host.logs).tell(logging.WARNING, text)
    return reply
