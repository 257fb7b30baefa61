"""The `action.*` requests, from maps to types and back, and the actions that run.

Owns which actions there are, by their ids. Everything may be called from any thread.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from plugin_host_sdk.errors import ActionInvalid, CallCancelled, CallError, CallFailed, CallTimeout
from plugin_host_sdk.exec.clock import SystemClock
from plugin_host_sdk.exec.reactor import Reactor
from plugin_host_sdk.types.action import KINDS, Accepted, Cancel, Cancelled, Trigger

from .outcome import error_map
from .run import Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.endpoint import Runtime
    from plugin_host_sdk.exec.clock import Clock

    from .handler import Handler

__all__ = ["AT_ONCE", "Desk"]

_T = TypeVar("_T")

AT_ONCE = 256
"""Actions of one plugin that may run side by side."""
# After the grace: what a kill takes, and the last words.
_KILL_S = 0.5


class Desk:
    """One method for each request: parameters as a map in, the answer out. Raises CallError."""

    def __init__(
        self,
        handler_of: Callable[[str], Handler],
        runtime: Runtime,
        keepalive: float,
        clock: Clock | None = None,
    ) -> None:
        _prepare()
        self._handler_of = handler_of
        self._runtime = runtime
        self._keepalive = keepalive
        self._clock = clock or SystemClock()
        self._reactor = Reactor(self._clock, lambda text: runtime.log("error", "action", text, {}))
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._is_closed = False

    def trigger(self, ctx: Context, params: dict[str, Any]) -> Any:
        run = self._admit(ctx, params)
        check = self._handler_of(run.kind).check
        try:
            if check is not None:
                check(run.ctx, run.request)
                ctx.check()
            window = run.open()
        except BaseException as error:
            run.refuse()
            raise _explained(run, error) from None
        return self._begin(run, window)

    async def trigger_async(self, ctx: Context, params: dict[str, Any]) -> Any:
        run = self._admit(ctx, params)
        check = self._handler_of(run.kind).check
        try:
            if check is not None:
                await check(run.ctx, run.request)
            window = run.open()
        except BaseException as error:
            run.refuse()
            raise _explained(run, error) from None
        return self._begin(run, window)

    def cancel(self, params: dict[str, Any]) -> Any:
        asked = _convert("action.cancel", params, Cancel)
        with self._lock:
            run = self._runs.get(asked.action)
        if run is None:
            return msgspec.to_builtins(Cancelled(state="not_running"))
        run.cancel(asked.reason, asked.grace_ms / 1000)
        return msgspec.to_builtins(Cancelled(state="cancelling"))

    def close(self, grace: float) -> None:
        """Cancel everything and wait until it has ended, at most `grace` and the time that a kill takes."""
        with self._lock:
            self._is_closed = True
            runs = list(self._runs.values())
        asked = max(0.0, grace - _KILL_S)
        for run in runs:
            run.cancel("the plugin is stopping", asked)
        until = self._clock.monotonic() + max(grace, _KILL_S)
        for run in runs:
            if not _wait(run, until - self._clock.monotonic()):
                run.cut_off()
                _wait(run, 0.1)
        self._reactor.close()

    def _admit(self, ctx: Context, params: dict[str, Any]) -> Run:
        """The run for a request that is in order, known from now on. Raises ActionInvalid, CallFailed."""
        asked = _convert("action.trigger", params, Trigger)
        try:
            return self._admitted(ctx, asked)
        except CallError:
            for number in (asked.stdout, asked.stderr, asked.data):
                if number is not None:
                    self._runtime.sink.forget(number)
            raise

    def _admitted(self, ctx: Context, asked: Trigger) -> Run:
        kind = KINDS[asked.kind]
        try:
            request = msgspec.convert(asked.request, kind.request, builtin_types=(bytes,))
        except msgspec.ValidationError as error:
            raise ActionInvalid(f"{asked.kind}: {error}") from None
        if (asked.data is not None) != kind.takes_data:
            word = "takes" if kind.takes_data else "does not take"
            raise ActionInvalid(f"{asked.kind} {word} a stream of data")
        run = Run(
            asked,
            request,
            self._handler_of(asked.kind),
            self._runtime,
            self._reactor,
            self._clock,
            self._forget,
        )
        run.belongs_to(ctx)
        with self._lock:
            if self._is_closed:
                raise CallCancelled("the plugin is stopping", name="rpc.cancelled")
            if asked.action in self._runs:
                raise ActionInvalid(f"an action {asked.action!r} runs already: ids are used once")
            if len(self._runs) >= AT_ONCE:
                raise CallFailed(f"{AT_ONCE} actions run already", name="rpc.busy")
            self._runs[asked.action] = run
        return run

    def _begin(self, run: Run, window: int | None) -> Any:
        run.start(self._keepalive)
        return msgspec.to_builtins(Accepted(data_window=window))

    def _forget(self, run: Run) -> None:
        with self._lock:
            if self._runs.get(run.id) is run:
                del self._runs[run.id]


def _prepare() -> None:
    """Let msgspec look at every type once, on one thread: two that do it at the same time crash it."""
    for kind in (Trigger, Cancel, *(one for each in KINDS.values() for one in each[:2])):
        try:
            msgspec.convert({}, kind)
        except msgspec.ValidationError:
            pass  # nothing is missing from what is asked


def _convert(method: str, params: dict[str, Any], kind: type[_T]) -> _T:
    try:
        return msgspec.convert(params, kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise CallFailed(f"{method}: {error}", name="rpc.invalid_params") from None


def _explained(run: Run, error: BaseException) -> BaseException:
    """What a check raised, as an answer; it is an action's error whatever it was."""
    return CallError.from_map(error_map(run.kind, error, run.ctx.cancelled))


def _wait(run: Run, seconds: float) -> bool:
    """Whether it ends in time."""
    try:
        run.done.wait(max(0.0, seconds))
    except CallTimeout:
        return False
    return True
