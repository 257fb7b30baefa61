"""The requests about a plugin itself, which are of no capability.

The reading thread acts on them at once, whatever the handlers do: so none waits for anybody. All of them
are answered here but `shutdown`, which is when the plugin has ended what runs.
"""

from __future__ import annotations

from time import perf_counter

from plugin_host_sdk.errors import CallFailed

from .greeting import greet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.events import RequestReceived
    from plugin_host_sdk.plugin import Plugin

    from .coroutine import LoopThread
    from .ending import Ending
    from .roster import Roster
    from .wiring import Wiring

    class Asked(Protocol):
        """The server, of whose state they are."""

        plugin: Plugin
        wiring: Wiring
        ending: Ending
        running: dict[int, Context]
        finished: int
        loop: LoopThread
        roster: Roster

        def adopt(self, settings: Mapping[str, Any], /) -> None: ...


__all__ = ["receive_system_request"]


def receive_system_request(server: Asked, event: RequestReceived) -> None:
    """Act on a request that no capability takes. Raises CallError when it is to be refused."""
    act = _ACTS.get(event.method)
    if act is None:
        raise CallFailed(
            f"plugin {server.plugin.id!r} has no method {event.method!r}", name="rpc.method_not_found"
        )
    act(server, event)


def _initialize(server: Asked, event: RequestReceived) -> None:
    settings, wiring = event.params.get("settings"), server.wiring
    server.adopt(settings if isinstance(settings, dict) else {})
    # What is registered from now on is told by a notification: it finds the connection ready.
    with wiring.mutex:
        answer = greet(server.plugin, wiring.connection.limits, event.params)
        wiring.answer(event.msgid, answer)
        wiring.put_early_logs()
    server.roster.tell_ready()


def _ping(server: Asked, event: RequestReceived) -> None:
    _answer(server, event, event.params)


def _vitals(server: Asked, event: RequestReceived) -> None:
    from .vitals import take_vitals  # no plugin is asked before it is ready

    with server.wiring.mutex:
        vitals = take_vitals(server.running.values(), server.finished, server.loop.lag(), perf_counter())
    _answer(server, event, vitals)


def _stacks(server: Asked, event: RequestReceived) -> None:
    from .callframe import call_of  # for a plugin that is in trouble
    from .stack import take_stacks

    try:
        stacks = take_stacks(server.loop.loop, call_of)
    except Exception as error:  # what is looked at changes under the look, and may be of any class
        raise CallFailed(f"stacks: {type(error).__name__}: {error}", name="rpc.internal") from None
    _answer(server, event, stacks)


def _reconfigure(server: Asked, event: RequestReceived) -> None:
    _answer(server, event, {"restart": True})  # for nobody is there to take the settings


def _shutdown(server: Asked, event: RequestReceived) -> None:
    if server.ending.msgid is None:
        server.ending.request(event.msgid, event.params.get("grace_ms"))
    else:
        _answer(server, event, {"running": len(server.running)})


def _answer(server: Asked, event: RequestReceived, result: Any) -> None:
    with server.wiring.mutex:
        server.wiring.answer(event.msgid, result)


_ACTS: dict[str, Callable[[Asked, RequestReceived], None]] = {
    "initialize": _initialize,
    "ping": _ping,
    "vitals": _vitals,
    "stacks": _stacks,
    "reconfigure": _reconfigure,
    "shutdown": _shutdown,
}
