"""What plugins may call back: the functions an embedder registered, run on behalf of one plugin.

A service is `fn(caller, **params)`, for raw peers `fn(caller, *params)`: an async function runs on the
loop, a plain one in a thread. The deadline and the chain of plugins of the outer call go with it, so a
call that a service makes has what is left of them.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import CallError, CallFailed, CallTimeout
from .wording import suggestion

if TYPE_CHECKING:
    from plugin_host_sdk.events import RequestReceived

    from .link import Link

__all__ = ["Caller", "Service", "ServiceTable", "current_caller"]

Service = Callable[..., Any]

_THREADS = 32
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the plugin, the plugins through which the call came, and when its time is over.

    `deadline` is a `time.monotonic()` value or None.
    """

    plugin: str
    chain: tuple[str, ...] = ()
    deadline: float | None = None

    def remaining(self) -> float | None:
        """Seconds left, never negative; None without a deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


current_caller: contextvars.ContextVar[Caller | None] = contextvars.ContextVar(
    "plugin_host_caller", default=None
)


class ServiceTable:
    """The services of one host, and the calls of them that run."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        for name, function in services.items():
            if not callable(function):
                raise TypeError(f"service {name!r} is not a function: {function!r}")
        self._services = dict(services)
        self._threads: ThreadPoolExecutor | None = None
        self._tasks: dict[tuple[int, int], asyncio.Task[None]] = {}

    def serve(self, link: Link, plugin: str, granted: tuple[str, ...], event: RequestReceived) -> None:
        """Answer one request of a plugin, now or later."""
        try:
            name, function = self._find(plugin, granted, event.method)
            caller = _caller_of(plugin, event.meta or {})
        except CallError as error:
            link.refuse(event.msgid, error)
            return
        key = id(link), event.msgid
        task = asyncio.get_running_loop().create_task(
            self._run(link, event, name, function, caller), name=f"host.{name} for {plugin}"
        )
        self._tasks[key] = task
        task.add_done_callback(lambda task: self._done(key, task, link, event.msgid, name))

    def cancel(self, link: Link, msgid: int | None = None) -> None:
        """Cancel one call of a link, or all of them."""
        for (owner, number), task in list(self._tasks.items()):
            if owner == id(link) and msgid in (None, number):
                task.cancel()

    def close(self) -> None:
        """Cancel every call. Plain functions that run in threads finish, unheard."""
        for task in list(self._tasks.values()):
            task.cancel()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _find(self, plugin: str, granted: tuple[str, ...], method: str) -> tuple[str, Service]:
        name = method.removeprefix("host.")
        if not method.startswith("host."):
            raise CallFailed(f"the host has no method {method!r}", name="rpc.method_not_found")
        if method not in granted:
            raise CallFailed(
                f"plugin `{plugin}` may not call {method}: its manifest must ask for it in `permissions`, "
                "and the host's configuration must not withhold it "
                f"(granted: {', '.join(granted) or 'nothing'})",
                name="host.permission_denied",
            )
        function = self._services.get(name)
        if function is None:
            hint = suggestion(name, self._services)
            raise CallFailed(f"this host offers no service {name!r}{hint}", name="host.service_not_found")
        return name, function

    async def _run(
        self, link: Link, event: RequestReceived, name: str, function: Service, caller: Caller
    ) -> None:
        current_caller.set(caller)
        try:
            async with asyncio.timeout(caller.remaining()) as limit:
                result = await self._call(function, caller, event.params)
        except CallError as failed:
            error = failed
        except Exception as failed:
            if isinstance(failed, TimeoutError) and limit.expired():
                error = CallTimeout(f"host.{name} did not end in time", name="rpc.deadline_exceeded")
            else:
                _log.warning("host.%s for plugin %s: %s", name, caller.plugin, failed, exc_info=failed)
                text = f"host.{name} raised {type(failed).__name__}: {failed}"
                error = CallFailed(text, name="host.service_failed")
        else:
            link.answer(event.msgid, result)
            return
        link.refuse(event.msgid, error)

    def _done(
        self, key: tuple[int, int], task: asyncio.Task[None], link: Link, msgid: int, name: str
    ) -> None:
        self._tasks.pop(key, None)
        if task.cancelled():  # perhaps before it had begun
            link.refuse(msgid, CallFailed(f"host.{name} was cancelled", name="rpc.cancelled"))

    async def _call(self, function: Service, caller: Caller, params: Any) -> Any:
        # A raw peer has no names for its parameters.
        args, named = (params, {}) if isinstance(params, list) else ((), params)
        if inspect.iscoroutinefunction(function):
            return await function(caller, *args, **named)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="plugin-host-service")
        context = contextvars.copy_context()
        result = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: context.run(function, caller, *args, **named)
        )
        return await result if inspect.isawaitable(result) else result


def _caller_of(plugin: str, meta: dict[str, Any]) -> Caller:
    chain, timeout = meta.get("chain", []), meta.get("timeout_ms")
    if not isinstance(chain, list) or not all(isinstance(link, str) for link in chain):
        raise CallFailed("chain is a list of plugin ids", name="rpc.invalid_params")
    if timeout is not None and not isinstance(timeout, (int, float)):
        raise CallFailed("timeout_ms is a number", name="rpc.invalid_params")
    if timeout is not None and timeout <= 0:
        raise CallTimeout("the call's deadline has passed", name="rpc.deadline_exceeded")
    deadline = None if timeout is None else time.monotonic() + timeout / 1000
    return Caller(plugin, tuple(chain), deadline)
