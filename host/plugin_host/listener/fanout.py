"""The command `host.event`: tells every plugin that listens of an event, all at once.

A plugin listens by offering a command `event.NAME`, or `event` for all names; whether one that is not ready
would, nobody knows. Invariants: every plugin that was told, and every one that could not be, is in the
answer under its name, in the order of ids; one that is slow or dies delays and spoils its own entry only.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from plugin_host.admittance import not_ready
from plugin_host.state import State

from .forwarder import called
from .framing import BadRequest
from .outcome import reply_to
from .reply import Reply

if TYPE_CHECKING:
    from plugin_host.host import PluginHost
    from plugin_host.plugin import Plugin

    from .request import Request

__all__ = ["Fanout"]

_EVENT = "Event"
_FAILED = 1


class Fanout:
    """The handler: `Event` is the name, free fields are the parameters; the reply has `Results`.

    With `debug` those of plugins that failed have their tracebacks.

    `event` gets the name as the parameter `event`, beside the others. The status is 1 when a plugin's is
    not 0. Each plugin has `timeout_s`. One that is not ready has the status of a call that it cannot take,
    and is named in the message; that does not count as a failure, for it may be stopped or idle on purpose.
    """

    def __init__(self, host: PluginHost, timeout_s: float, *, debug: bool = False) -> None:
        self._host = host
        self._timeout_s = timeout_s
        self._debug = debug

    async def __call__(self, request: Request) -> Reply:
        name = request.get(_EVENT)
        if not isinstance(name, str) or not name:
            raise BadRequest(f"$.{_EVENT}: expected the name of an event")
        params = {key: value for key, value in request.items() if key.casefold() != _EVENT.casefold()}
        wanted = [one for one in self._host.plugins.values() if one.candidate.skipped is None]
        ready = [one for one in wanted if one.state is State.READY]
        missed = {one.id: self._entry(one, reply_to(not_ready(one))) for one in wanted if one not in ready}
        told = [(one, command) for one in ready if (command := _listens(one, name)) is not None]
        answers = await asyncio.gather(*(self._tell(one, command, name, params) for one, command in told))
        failed = sorted(one["Plugin"] for one in answers if one["Status"] != 0)
        said = [f"{len(failed)} of {len(answers)} plugins failed: {', '.join(failed)}"] if failed else []
        said += [f"not ready, so not told: {', '.join(sorted(missed))}"] if missed else []
        results = sorted((*answers, *missed.values()), key=lambda one: str(one["Plugin"]))
        return Reply(_FAILED if failed else 0, "; ".join(said), {_EVENT: name, "Results": results})

    async def _tell(
        self, plugin: Plugin, command: str, name: str, params: dict[str, Any]
    ) -> dict[str, Any]:
        given = {**params, "event": name} if command == "event" else params
        reply = await called(self._host, plugin.id, command, given, self._timeout_s)
        if any(field.casefold() == "plugin" for field in reply.fields):  # would hide whose answer it is
            reply = Reply(reply.status, reply.message, {"Result": dict(reply.fields)})
        return self._entry(plugin, reply)

    def _entry(self, plugin: Plugin, reply: Reply) -> dict[str, Any]:
        return {"Plugin": plugin.id, **reply.to_map(debug=self._debug)}


def _listens(plugin: Plugin, name: str) -> str | None:
    """The command by which a ready plugin takes this event."""
    offered = plugin.commands
    return next((one for one in (f"event.{name}", "event") if one in offered), None)
