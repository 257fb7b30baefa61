"""What plugins may call back: the functions an embedder registered, run on behalf of one plugin.

A service is `fn(caller, **params)`, for raw peers `fn(caller, *params)`: an async function runs on the
loop, a plain one in a thread. The deadline, the chain of plugins and the trace of the outer call go with
it, so a call that a service makes has what is left of them.

Each plugin has a desk of its own with room for so many calls at once; the others wait in its queue, so
a plugin that never stops asking delays itself alone. A call that came through the plugin already does
not wait for those before it, which may wait for its end: it has room with those of as long a chain, and
no chain is endless.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.excerpt import said
from plugin_host_sdk.protocol import CHAIN_DEPTH
from plugin_host_sdk.tracecontext import TraceContext, read_trace

from .constraint import is_id
from .errors import CallError, CallFailed, CallTimeout
from .flood import Flood
from .floodgate import Floodgate
from .holdback import Begin, Holdback
from .permission import denial
from .servicethread import ServiceThreads
from .trace import current_trace
from .wording import shown, suggestion

if TYPE_CHECKING:
    from plugin_host_sdk.events import RequestReceived

    from .link import Link

__all__ = ["Caller", "Service", "ServiceTable", "current_caller"]

Service = Callable[..., Any]

# At once for one plugin. Plain functions are as many as its workers are by default.
_CALLS = 256
_PLAIN_CALLS = 32
# A plugin that asks for ever new names is told each time, and the log not.
_DENIALS_LOGGED = 64
_SHOWN = 200
# Failures that are logged, each with a traceback: as many at once, and so many a second from then on.
_FAILURES = 100
_FAILURES_A_SECOND = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the plugin, the plugins through which the call came, and when its time is over.

    `deadline` is a `time.monotonic()` value or None. `trace` is the trace that the call is part of, if any.
    """

    plugin: str
    chain: tuple[str, ...] = ()
    deadline: float | None = None
    trace: TraceContext | None = None

    @property
    def is_nested(self) -> bool:
        """Whether the call came through the same plugin before."""
        return self.plugin in self.chain[:-1]

    def remaining(self) -> float | None:
        """Seconds left, never negative; None without a deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


current_caller: contextvars.ContextVar[Caller | None] = contextvars.ContextVar(
    "plugin_host_caller", default=None
)


class _Room:
    """For so many calls at once: how many run, and those that wait."""

    def __init__(self) -> None:
        self.running = 0
        self.waiting: dict[int, Begin] = {}
        self.for_plain = asyncio.Semaphore(_PLAIN_CALLS)


class _Desk:
    """The calls of one link: those that run, those that wait for room, and what was denied.

    `holdback` has those that wait until the plugin has read the answers to others. `rooms` are by the
    length of the chain; those that came through the plugin for the first time share one.
    """

    def __init__(self, link: Link, plugin: str) -> None:
        self.running: dict[int, asyncio.Task[None]] = {}
        self.rooms: dict[int, _Room] = {}
        self.holdback = Holdback(link)
        self.gate = Floodgate(
            lambda text: _log.warning("failures of services for plugin %s: %s", plugin, text),
            Flood(
                asyncio.get_running_loop().time(),
                burst=_FAILURES,
                rate=_FAILURES_A_SECOND,
                reserve=0,
                reserve_rate=0,
            ),
        )
        self.denied: set[str] = set()

    def room(self, caller: Caller) -> _Room:
        """Where a call of this caller has its place."""
        length = len(caller.chain) if caller.is_nested else 0
        room = self.rooms.get(length)
        if room is None:
            room = self.rooms[length] = _Room()
        return room

    def drop(self, msgid: int) -> bool:
        """Forget a call; whether it was not begun."""
        is_held = self.holdback.drop(msgid)
        return is_held or any(room.waiting.pop(msgid, None) is not None for room in self.rooms.values())


class ServiceTable:
    """The services of one host, and the calls of them that run.

    `adopt(trace)` makes what a task does from then on part of the trace of the call it serves.
    """

    def __init__(self, services: Mapping[str, Service]) -> None:
        for name, function in services.items():
            if not callable(function):
                raise TypeError(f"service {name!r} is not a function: {function!r}")
        self._services = dict(services)
        self._threads = ServiceThreads()
        self._desks: dict[Link, _Desk] = {}
        self.adopt: Callable[[TraceContext | None], object] = current_trace.set

    def serve(
        self,
        link: Link,
        plugin: str,
        granted: tuple[str, ...],
        event: RequestReceived,
        asked: tuple[str, ...] = (),
    ) -> None:
        """Answer one request of a plugin, now or later.

        `granted` are its permissions; `asked`, what its manifest lists, explains a denial. The first denial
        of each permission is logged.
        """
        desk = self._desks.get(link)
        if desk is None:
            desk = self._desks[link] = _Desk(link, plugin)
        try:
            self._check(desk, plugin, granted, asked, event.method)
            name, function = self._find(event.method)
            caller = _caller_of(plugin, event.meta or {}, name)
        except CallError as error:
            link.refuse(event.msgid, error)
            return

        room = desk.room(caller)

        def start() -> asyncio.Task[None]:
            task = asyncio.get_running_loop().create_task(
                self._run(link, desk, room, event, name, function, caller), name=f"host.{name} for {plugin}"
            )
            desk.running[event.msgid] = task
            room.running += 1
            task.add_done_callback(lambda task: self._done(desk, room, task, link, event.msgid, name))
            return task

        def begin(waited: float) -> asyncio.Task[None] | None:
            if room.running < _CALLS:
                return start()
            room.waiting[event.msgid] = begin
            return None

        desk.holdback.begin(event.msgid, begin)

    def cancel(self, link: Link, msgid: int) -> None:
        """Cancel one call of a link."""
        desk = self._desks.get(link)
        if desk is None:
            return
        if desk.drop(msgid):
            link.refuse(msgid, CallFailed("it was cancelled while it waited", name="rpc.cancelled"))
        elif (task := desk.running.get(msgid)) is not None:
            task.cancel()

    def forget(self, link: Link) -> None:
        """The link is over: cancel every call of it."""
        desk = self._desks.pop(link, None)
        if desk is not None:
            for room in desk.rooms.values():
                room.waiting.clear()
            desk.holdback.close()
            desk.gate.flush()
            for task in list(desk.running.values()):
                task.cancel()

    def close(self) -> None:
        """Cancel every call. Plain functions that run in threads finish, unheard."""
        for link in list(self._desks):
            self.forget(link)
        self._threads.close()

    def _check(
        self, desk: _Desk, plugin: str, granted: tuple[str, ...], asked: tuple[str, ...], method: str
    ) -> None:
        """Raise CallFailed for what is no service, and for one that the plugin may not call."""
        if not method.startswith("host."):
            raise CallFailed(f"the host has no method {method!r}", name="rpc.method_not_found")
        name = shown(method[:_SHOWN])
        reason = denial(plugin, name, asked=asked, granted=granted)
        if reason is None:
            return
        if name not in desk.denied and len(desk.denied) < _DENIALS_LOGGED:
            desk.denied.add(name)
            logging.getLogger(f"plugin_host.plugin.{plugin}").warning("%s", reason)
        raise CallFailed(reason, name="host.permission_denied")

    def _find(self, method: str) -> tuple[str, Service]:
        name = method.removeprefix("host.")
        function = self._services.get(name)
        if function is None:
            hint = suggestion(name, self._services)
            raise CallFailed(f"this host offers no service {name!r}{hint}", name="host.service_not_found")
        return name, function

    async def _run(
        self,
        link: Link,
        desk: _Desk,
        room: _Room,
        event: RequestReceived,
        name: str,
        function: Service,
        caller: Caller,
    ) -> None:
        current_caller.set(caller)
        # Also when there is none: the task began in the context of whoever had started the plugin.
        self.adopt(caller.trace)
        try:
            async with asyncio.timeout(caller.remaining()) as limit:
                result = await self._call(room, function, caller, event.params)
        except CallError as failed:
            error = failed
        except Exception as failed:
            if isinstance(failed, TimeoutError) and limit.expired():
                error = CallTimeout(f"host.{name} did not end in time", name="rpc.deadline_exceeded")
            else:
                words = said(failed)
                if desk.gate.admit():
                    _log.warning("host.%s for plugin %s: %s", name, caller.plugin, words, exc_info=failed)
                text = f"host.{name} raised {type(failed).__name__}: {words}"
                error = CallFailed(text, name="host.service_failed")
        else:
            link.answer(event.msgid, result)
            return
        link.refuse(event.msgid, error)

    def _done(
        self, desk: _Desk, room: _Room, task: asyncio.Task[None], link: Link, msgid: int, name: str
    ) -> None:
        desk.running.pop(msgid, None)
        room.running -= 1
        if task.cancelled():  # perhaps before it had begun
            link.refuse(msgid, CallFailed(f"host.{name} was cancelled", name="rpc.cancelled"))
        if room.waiting and room.running < _CALLS:
            first = next(iter(room.waiting))
            desk.holdback.begin(first, room.waiting.pop(first))

    async def _call(self, room: _Room, function: Service, caller: Caller, params: Any) -> Any:
        # A raw peer has no names for its parameters.
        args, named = (params, {}) if isinstance(params, list) else ((), params)
        if inspect.iscoroutinefunction(function):
            return await function(caller, *args, **named)
        context = contextvars.copy_context()
        await room.for_plain.acquire()
        try:
            ended = self._threads.run(lambda: context.run(function, caller, *args, **named))
        except BaseException:  # there is no thread for it
            room.for_plain.release()
            raise
        # Not when nobody waits for it any more: the function goes on, and so its thread is taken.
        ended.add_done_callback(lambda _: room.for_plain.release())
        result = await asyncio.shield(ended)
        return await result if inspect.isawaitable(result) else result


def _caller_of(plugin: str, meta: dict[str, Any], service: str) -> Caller:
    chain, timeout = meta.get("chain", []), meta.get("timeout_ms")
    if not isinstance(chain, list) or not all(isinstance(link, str) and is_id(link) for link in chain):
        raise CallFailed("chain is a list of plugin ids", name="rpc.invalid_params")
    if len(chain) > CHAIN_DEPTH + 1:  # as many, and the one who asks
        text = f"calls nested deeper than {CHAIN_DEPTH}: {' -> '.join(chain[: CHAIN_DEPTH + 2])}"
        raise CallFailed(text, name="rpc.chain_too_deep")
    if timeout is not None and not isinstance(timeout, (int, float)):
        raise CallFailed("timeout_ms is a number", name="rpc.invalid_params")
    if timeout is not None and timeout <= 0:
        text = f"plugin `{plugin}` asked for host.{service} when the deadline of its call had passed"
        raise CallTimeout(text, name="rpc.deadline_exceeded")
    if not chain or chain[-1] != plugin:  # a peer that knows nothing of chains is part of them, too
        chain = [*chain, plugin]
    deadline = None if timeout is None else time.monotonic() + timeout / 1000
    return Caller(plugin, tuple(chain), deadline, read_trace(meta))
