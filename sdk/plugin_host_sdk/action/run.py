"""One action from its acceptance to its end.

Owns the streams of the action, the thread or coroutine of its handler, and its signs of life. Invariant:
an action that was accepted is finished exactly once, behind all its output, whatever the handler does, and
what is to happen after the reply happens when the wire has taken it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.errors import ActionFailed, CallCancelled, CallError, CallFailed, LocalProtocolError
from plugin_host_sdk.forkedchild import ParentOnly
from plugin_host_sdk.later import Later
from plugin_host_sdk.protocol import WINDOW_BYTES

from .action import Action
from .inflow import Inflow
from .outcome import error_map, result_map
from .outflow import Outflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.endpoint import Runtime
    from plugin_host_sdk.exec.clock import Clock
    from plugin_host_sdk.exec.reactor import Reactor, Timer
    from plugin_host_sdk.types.action import Trigger

    from .handler import Handler

__all__ = ["Run"]

# For a handler to send, after the grace and its kills, what there is to say; then no reader is waited for.
_LAST_WORDS_S = 1.0

CHECKING, RUNNING, DRAINING, FINISHED = "checking", "running", "draining", "finished"
_MOVES = {CHECKING: {RUNNING, FINISHED}, RUNNING: {DRAINING}, DRAINING: {FINISHED}, FINISHED: set[str]()}


class Run:
    """An action that was asked for. `over(run)` is called once it is no longer known.

    `done` is resolved when it has finished.
    """

    def __init__(
        self,
        asked: Trigger,
        request: Any,
        handler: Handler,
        runtime: Runtime,
        reactor: Reactor,
        clock: Clock,
        over: Callable[[Run], None],
    ) -> None:
        self.id = asked.action
        self.kind = asked.kind
        self.request = request
        self.runtime = runtime
        self.done = Later()
        self.state = CHECKING
        self._asked = asked
        self._handler = handler
        self._reactor = reactor
        self._clock = clock
        self._over = over
        self._lock = threading.Lock()
        self._began = clock.monotonic()
        self._left = 2  # outputs that have not ended
        self._beat: Timer | None = None
        self._outcome: dict[str, Any] = {}
        self.ctx = runtime.context(f"action.{self.kind}")
        self.ctx.begin(self.ctx.settings)
        self.ctx.is_async = handler.is_async
        self.action = Action(self.id, self.kind, self.ctx.cancelled, handler.is_async, runtime.leave)
        self.ctx.serve_action(self.action)

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.kind} {self.state}>"

    def belongs_to(self, ctx: Context) -> None:
        """It is done on behalf of the call that triggered it."""
        self.ctx.chain = ctx.chain
        self.ctx.trace = ctx.trace

    # Beginning.

    def open(self) -> int | None:
        """Open the streams; the window of the input. Raises CallFailed, CallCancelled."""
        asked, sink = self._asked, self.runtime.sink
        if self.ctx.cancelled:
            raise CallCancelled(f"cancelled: {self.ctx.cancelled.reason}", name="rpc.cancelled")
        for name, number in (("stdout", asked.stdout), ("stderr", asked.stderr)):
            outflow = self.action.outflows[name] = Outflow(sink, number, asked.window)
            sink.open_output(number, asked.window, outflow)
        if asked.data is None:
            return None
        self.action.inflow = Inflow(sink, asked.data, self.ctx.cancelled)
        return sink.open_input(asked.data, WINDOW_BYTES, self.action.inflow)

    def refuse(self) -> None:
        """It is not accepted: nothing of it was ever there."""
        self._move(FINISHED)
        numbers = (self._asked.stdout, self._asked.stderr, self._asked.data)
        for number in numbers:
            if number is not None:
                self.runtime.sink.forget(number)
        self._over(self)
        self.done.resolve()

    def start(self, keepalive: float) -> None:
        """Call the handler."""
        self._move(RUNNING)
        try:
            if self._handler.is_async:
                self._start_async()
            else:
                threading.Thread(target=self._run, name=f"action {self.id}", daemon=True).start()
        except (RuntimeError, OSError) as problem:  # no thread, or no descriptor for a loop
            self._conclude(None, CallFailed(f"{self.kind}: {problem}", name="rpc.busy"))
        self._keep_alive(keepalive)

    def _start_async(self) -> None:
        runtime, has_begun = self.runtime, False

        async def work() -> None:
            nonlocal has_begun
            has_begun = True
            try:
                with ParentOnly():
                    result = await self._handler.function(self.ctx, self.request)
            except BaseException as error:
                self._conclude(None, error)
            else:
                self._conclude(result, None)

        async def settle() -> None:
            if not has_begun:  # a coroutine that was cancelled before its first step never runs
                self._conclude(None, CallCancelled("cancelled before it began", name="rpc.cancelled"))

        def stop() -> None:
            cancel()
            runtime.run_async(settle)

        cancel = runtime.run_async(work)
        self.ctx.cancelled.listen(stop)

    def _run(self) -> None:
        try:
            with ParentOnly():
                result = self._handler.function(self.ctx, self.request)
        except BaseException as error:
            self._conclude(None, error)
        else:
            self._conclude(result, None)

    def _keep_alive(self, interval: float) -> None:
        sink = self.runtime.sink

        def beat() -> None:
            with self._lock:
                if self.state == FINISHED:
                    return
                self._beat = self._reactor.call_at(self._clock.monotonic() + interval, beat)
                elapsed = (self._clock.monotonic() - self._began) * 1000
                # With the lock, so that no sign of life follows the end.
                sink.notify("action.keepalive", {"action": self.id, "elapsed_ms": elapsed})
            sink.flush()

        with self._lock:
            if self.state != FINISHED:
                self._beat = self._reactor.call_at(self._clock.monotonic() + interval, beat)

    # Ending.

    def cancel(self, reason: str, grace: float) -> None:
        """Ask it to end, and give what nobody reads up after `grace` seconds and a moment for last words.

        Again: the first reason and the shorter time count.
        """
        self.action.grace = min(self.action.grace, grace) if self.ctx.cancelled else grace
        self._reactor.call_at(self._clock.monotonic() + grace + _LAST_WORDS_S, self.cut_off)
        self.ctx.cancelled.set(reason or "cancelled")

    def cut_off(self) -> None:
        """Wait for nobody any more who does not read."""
        for outflow in self.action.outflows.values():
            outflow.give_up()
        self.runtime.sink.flush()

    def _conclude(self, result: Any, error: BaseException | None) -> None:
        """The handler is over: its output ends, then this action."""
        outcome: dict[str, Any] = {"result": None, "error": None}
        try:
            if error is not None:
                raise error
            outcome["result"] = result_map(self.kind, result)
        except BaseException as problem:
            outcome["error"] = error_map(self.kind, problem, self.ctx.cancelled)
            self.action.followers.clear()
        self._outcome = outcome
        self._move(DRAINING)
        if self.action.inflow is not None:
            self.action.inflow.close()
        for outflow in self.action.outflows.values():
            outflow.finish(self._ended)
        self.runtime.sink.flush()

    def _ended(self) -> None:
        """One output has ended. May be on the reading thread, so it does not wait."""
        with self._lock:
            self._left -= 1
            if self._left:
                return
        self._move(FINISHED)
        totals = {name: outflow.total for name, outflow in self.action.outflows.items()}
        self._tell(self._outcome, totals)
        if self._beat is not None:
            self._beat.cancel()
        self._over(self)
        if self.action.followers:
            threading.Thread(target=self._follow, name=f"after action {self.id}", daemon=True).start()
        else:
            self.done.resolve()

    def _tell(self, outcome: dict[str, Any], totals: dict[str, int]) -> None:
        message = {"action": self.id, **outcome, "totals": totals}
        try:
            self.runtime.sink.notify("action.finished", message)
        except LocalProtocolError as problem:  # too large, or nothing that can travel: its end still can
            self.action.followers.clear()
            error = ActionFailed(f"{self.kind}: the result cannot be sent: {problem}").to_map()
            self.runtime.sink.notify("action.finished", message | {"result": None, "error": error})

    def _follow(self) -> None:
        self.runtime.drain()
        for function in self.action.followers:
            try:
                function()
            except Exception as error:
                text = f"after the reply to {self.kind}: {type(error).__name__}: {error}"
                self.runtime.log("error", "action", text, {"action": self.id})
        self.done.resolve()

    def _move(self, state: str) -> None:
        with self._lock:
            if state not in _MOVES[self.state]:
                raise CallError(f"an action that is {self.state} cannot become {state}")
            self.state = state
