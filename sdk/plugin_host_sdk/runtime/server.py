"""Serves one host: takes requests from the wire, has them run on the right thread, sends the answers.

The leader of the crew calls `lead`. It answers `ping`, `cancel` and bad requests itself, runs endpoints
that have proved quick, and hands everything else to workers or to the event loop; so a slow handler
never hides a live plugin. Every request that is accepted is answered exactly once.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from time import monotonic, perf_counter

from plugin_host_sdk.context import Context
from plugin_host_sdk.errors import CallCancelled, CallError, CallFailed, LocalProtocolError
from plugin_host_sdk.events import (
    CancelReceived,
    Closed,
    ErrorReceived,
    Failed,
    RequestReceived,
    RequestRefused,
    ResponseReceived,
)
from plugin_host_sdk.later import Later
from plugin_host_sdk.protocol import FRAME_BYTES

from .callmeta import expired, read_meta
from .coroutine import LoopThread
from .crew import Crew, Worker
from .ending import Ending
from .explanation import cancelled, explained
from .lonecall import SLOW, serve_alone
from .nested import NestedCalls
from .preemption import Preemptions
from .roster import Roster
from .streamdesk import StreamDesk
from .systemrequest import receive_system_request
from .wiring import Wiring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from plugin_host_sdk.endpoint import Endpoint
    from plugin_host_sdk.errors import RemoteProtocolError
    from plugin_host_sdk.events import Event
    from plugin_host_sdk.later import Listener
    from plugin_host_sdk.plugin import Plugin

__all__ = ["Server"]

# A run within this time can be spared by a reading thread.
_QUICK = 0.0005
_BATCH = 16  # answers that wait for each other before they are written


class Server:
    """The runtime of one plugin; the `Session` of every context."""

    def __init__(self, plugin: Plugin, wiring: Wiring) -> None:
        self.plugin = plugin
        self.plugin_id = plugin.id
        self.wiring = wiring
        self.settings: Mapping[str, Any] = {}
        self.ending = Ending()
        self.crew = Crew(wiring.mutex, self.lead, plugin.workers, self._split_bundles)
        self.nested = NestedCalls(wiring, plugin.id)
        self.running: dict[int, Context] = {}
        self.sink = StreamDesk(wiring)
        self.preemptions = Preemptions()
        self.loop = LoopThread(self._fault)
        self.backlog: deque[Event] = deque()
        self.finished = 0  # calls that had begun and were answered
        self.clock = 0.0  # when the leader began its turn, or ended its last run
        self.roster = Roster(plugin)
        self.routes = self.roster.open(self)

    @property
    def capabilities(self) -> Mapping[str, Any]:
        return self.plugin.capabilities

    # Reading.

    def lead(self, me: Worker) -> None:
        """Read and act until the lead is lost or the connection ends."""
        try:
            self._read_and_act(me)
        except BaseException:
            self._fault()

    def _fault(self) -> None:
        """A fault of the runtime itself. Nobody reads any more, or a call is lost: it ends and says why."""
        import traceback

        try:
            sys.stderr.write(traceback.format_exc())
        finally:  # also where author code has put something of its own in the way of that
            self._end("the runtime failed")

    def _read_and_act(self, me: Worker) -> None:
        wiring, backlog = self.wiring, self.backlog
        come_alone = False  # whether messages do at present, as of a host that waits for each answer
        while True:
            if backlog and not self._act(me):
                wiring.flush()
                return
            data = serve_alone(self, me) if come_alone else self._read()
            if data is None:
                wiring.flush()
                return
            with wiring.mutex:
                backlog.extend(wiring.connection.receive_data(data))
            come_alone = len(backlog) == 1
            if not data and not backlog:
                return

    def _read(self) -> memoryview:
        """What has arrived, when everything that waits is written."""
        wiring = self.wiring
        if wiring.outbox.control or wiring.outbox.bulk or wiring.late:
            wiring.flush()
        return wiring.channel.read()

    def serve(self, request: RequestReceived, me: Worker) -> bool:
        """Serve one that came alone; whether this thread still leads."""
        self.receive_request(request, me)
        return self.leads_on(me)

    def leads_on(self, me: Worker) -> bool:
        """Whether this thread still leads after a request that came alone."""
        return self.crew.leader is me and (self.crew.acting is None or self._ends_turn(me))

    def _act(self, me: Worker) -> bool:
        """Act on everything that was read; False when the lead was lost on the way."""
        crew, backlog, outbox = self.crew, self.backlog, self.wiring.outbox
        self.clock = perf_counter()
        has_acted = False
        while backlog:
            if has_acted:
                # The watchdog may take the lead at any moment, and another thread what was read.
                with self.wiring.mutex:
                    if crew.leader is not me:
                        return False
                    event = backlog.popleft()
                    if type(event) is not RequestReceived:  # it has its place in an order
                        crew.acting = None
                        has_acted = False
            else:
                event = backlog.popleft()
            if type(event) is RequestReceived:
                has_acted = True
                self.receive_request(event, me)
                if crew.leader is not me:
                    return False
                if len(outbox.control) >= _BATCH:
                    self.wiring.flush()
            else:
                self._handle(event)
        return self._ends_turn(me) if crew.acting is not None else crew.leader is me

    def _ends_turn(self, me: Worker) -> bool:
        """No author code runs any more; whether this thread still leads.

        With the mutex, so that a lead that is lost at this moment is noticed: two must never read, nor
        handle what was read.
        """
        with self.wiring.mutex:
            leads = self.crew.leader is me
            if leads:
                self.crew.acting = None
        return leads

    def _handle(self, event: Event) -> None:
        kind = type(event)
        if kind is ResponseReceived:
            self.nested.deliver(event.msgid, event.result, None)  # type: ignore[attr-defined]
        elif kind is ErrorReceived:
            self.nested.deliver(event.msgid, None, CallError.from_map(event.error))  # type: ignore[attr-defined]
        elif kind is CancelReceived:
            self._cancel(event.msgid)  # type: ignore[attr-defined]
        elif kind is RequestRefused:
            self._refuse(event.msgid, CallError.from_map(event.error))  # type: ignore[attr-defined]
        elif kind in self.sink.handlers:
            self.sink.handlers[kind](event)
        elif kind is Failed:
            self._fail(event.error)  # type: ignore[attr-defined]
        elif kind is Closed:
            self._end("the host is gone")

    def receive_request(self, event: RequestReceived, me: Worker) -> None:
        try:
            resolver = self.routes.get(event.method)
            if resolver is None:
                receive_system_request(self, event)
                return
            if self.ending.is_asked:
                raise CallCancelled(f"plugin {self.plugin.id!r} is stopping", name="rpc.cancelled")
            endpoint, arguments = resolver(event.params)
            ctx = Context(self, endpoint.name, event.msgid)
            if event.meta:
                read_meta(ctx, event.meta, self.plugin.id)
                if ctx.trace is not None:
                    endpoint = self._traced(endpoint, ctx)
        except CallError as error:
            self._refuse_request(event, error)
            return
        except (ImportError, OSError) as problem:  # no descriptor is left to load with what it takes
            self._refuse_request(event, CallFailed(f"{event.method}: {problem}", name="rpc.busy"))
            return
        self.running[event.msgid] = ctx
        if endpoint.quick:
            self._run_inline(endpoint, ctx, arguments, me)
            return
        ctx.arrived = self.clock
        if endpoint.is_async:
            self._run_async(endpoint, ctx, arguments)
        else:
            try:
                self.crew.submit(
                    lambda: self._run_pooled(endpoint, ctx, arguments),
                    extra=endpoint.is_urgent or self.plugin.id in ctx.chain,
                )
            except RuntimeError as problem:
                self._refuse_for_lack(ctx, f"no thread can be had for it: {problem}")

    def _traced(self, endpoint: Endpoint, ctx: Context) -> Endpoint:
        from .span import traced  # most calls have no trace

        return traced(endpoint, ctx, self.plugin.id)

    # Running.

    def _run_inline(self, endpoint: Endpoint, ctx: Context, arguments: Any, me: Worker) -> None:
        """On the leader's thread, in its turn: the watchdog takes the lead from a turn that lasts."""
        crew = self.crew
        if crew.acting is not me:
            crew.turn += 1
            crew.acting = me
            if crew.is_parked:
                crew.unpark()
        ctx.arrived = self.clock
        ctx.begin(self.settings)
        result = error = None
        try:
            result = endpoint.run(ctx, arguments)
        except BaseException as problem:
            error = explained(ctx, problem)
        self.end_run(endpoint, ctx, result, error, me)

    def end_run(
        self, endpoint: Endpoint, ctx: Context, result: Any, error: CallError | None, me: Worker
    ) -> None:
        """What comes after a run on the leader's thread, if it is the leader's still."""
        crew, wiring, alone = self.crew, self.wiring, None
        with wiring.mutex:
            leads = crew.leader is me
            answer = self._settle(ctx, result, error)
            if leads and not self.backlog:
                crew.acting = None  # the turn ends here
                if answer is not None and wiring.begin_writing():
                    alone, answer = answer, None
            if answer is not None:
                wiring.outbox.control.append(answer)
        # One look at the clock for each run: between two of them little else happens. Before the answer is
        # written, which may wake its reader on this processor.
        ended = self.clock = perf_counter()
        if not leads or (ended - ctx.arrived > SLOW and not self.preemptions.excuse(self.finished)):
            endpoint.ran_slow()
        if alone is not None:
            wiring.write_alone(alone)

    def _split_bundles(self) -> None:
        """The lead is lost to a call that lasts: none that came with it waits. With the mutex held."""
        for ctx in list(self.running.values()):
            if ctx.bundle is not None and (ended := ctx.bundle.split()) is not None:
                self.wiring.notify("command.split", {"msgid": ctx.msgid, **ended})

    def _run_pooled(self, endpoint: Endpoint, ctx: Context, arguments: Any) -> None:
        try:
            with self.wiring.mutex:
                has_begun = self._begin(ctx)
            if not has_begun:
                self.wiring.flush()
                return
            started = perf_counter()
            result, error = self._perform(endpoint, ctx, arguments)
            if perf_counter() - started < _QUICK:
                endpoint.ran_fast()
            elif not self.preemptions.excuse():
                endpoint.ran_slow()
            with self.wiring.mutex:
                self._queue_answer(ctx, result, error)
            self.wiring.flush()
        except BaseException:
            self._fault()

    def _run_async(self, endpoint: Endpoint, ctx: Context, arguments: Any) -> None:
        ctx.is_async = True

        async def work() -> None:
            try:
                with self.wiring.mutex:
                    has_begun = self._begin(ctx)
                if not has_begun:
                    self.wiring.flush()
                    return
                result, error = None, None
                try:
                    result = await endpoint.run(ctx, arguments)
                except BaseException as problem:
                    error = explained(ctx, problem)
                with self.wiring.mutex:
                    self._queue_answer(ctx, result, error)
                self.wiring.flush()
            except BaseException:
                self._fault()

        try:
            cancel = self.loop.run(work)
        except (RuntimeError, OSError) as problem:  # this call's lack, not the end of them all
            self._refuse_for_lack(ctx, f"no event loop can be had for it: {problem}")
            return
        ctx.cancelled.listen(cancel)

    def _refuse_for_lack(self, ctx: Context, why: str) -> None:
        with self.wiring.mutex:
            self._queue_answer(ctx, None, CallFailed(f"{ctx.name}: {why}", name="rpc.busy"))

    def _begin(self, ctx: Context) -> bool:
        """Whether a call that waited may start; if its time is over it is answered. With the mutex held."""
        if self.running.get(ctx.msgid) is not ctx:
            return False  # cancelled, and answered, while it waited
        if ctx.deadline is not None and ctx.deadline <= monotonic():
            self._queue_answer(ctx, None, expired(ctx))
            return False
        ctx.begin(self.settings)
        return True

    def _perform(self, endpoint: Endpoint, ctx: Context, arguments: Any) -> tuple[Any, CallError | None]:
        try:
            return endpoint.run(ctx, arguments), None
        except BaseException as error:
            return None, explained(ctx, error)

    def _settle(self, ctx: Context, result: Any, error: CallError | None) -> bytes | None:
        """The answer, as a control message to be queued, unless it is queued already or yet to come.

        With the mutex held.
        """
        if error is not None or type(result) is Later or self.ending.is_asked:
            self._settle_specially(ctx, result, error)
            return None
        msgid, wiring = ctx.msgid, self.wiring
        self.running.pop(msgid, None)
        self.finished += 1
        try:
            data = wiring.connection.send_response(msgid, result)
        except LocalProtocolError as problem:
            wiring.answer_unsendable(msgid, problem, "command.not_encodable")
            return None
        if len(data) <= FRAME_BYTES:
            return data
        wiring.outbox.put_bulk("message", (data,))
        return None

    def _settle_specially(self, ctx: Context, result: Any, error: CallError | None) -> None:
        if type(result) is Later:
            result.then(lambda result, error: self._settle_late(ctx, result, error))
            return
        self.running.pop(ctx.msgid, None)
        self.finished += ctx.has_begun
        if error is not None:
            self.wiring.refuse(ctx.msgid, error)
        else:
            self.wiring.answer(ctx.msgid, result, "command.not_encodable")
        if self.ending.is_asked and not self.running:
            self.ending.note_idle()

    def _queue_answer(self, ctx: Context, result: Any, error: CallError | None) -> None:
        """Queue the answer, or have it queued once it is there; with the mutex held."""
        answer = self._settle(ctx, result, error)
        if answer is not None:
            self.wiring.outbox.control.append(answer)

    def _settle_late(self, ctx: Context, result: Any, error: CallError | None) -> None:
        with self.wiring.mutex:
            self._queue_answer(ctx, result, error)
        self.wiring.flush()

    def _refuse_request(self, event: RequestReceived, error: CallError) -> None:
        self._refuse(event.msgid, error)
        if event.method == "initialize":
            self.wiring.flush()
            self._end(error.message)

    def _refuse(self, msgid: int, error: CallError) -> None:
        with self.wiring.mutex:
            self.wiring.refuse(msgid, error)

    # Ending.

    def _cancel(self, msgid: int) -> None:
        ctx = self.running.get(msgid)
        if ctx is not None:
            self._cancel_call(ctx, "the caller cancelled")

    def _cancel_call(self, ctx: Context, reason: str) -> None:
        """Running work is told; work that only waits is answered now and will not start."""
        ctx.cancelled.set(reason)
        with self.wiring.mutex:
            if not ctx.has_begun and self.running.get(ctx.msgid) is ctx:
                self._queue_answer(ctx, None, cancelled(ctx))

    def cancel_all(self, reason: str) -> None:
        """Cancel every call that runs or waits."""
        for ctx in list(self.running.values()):
            self._cancel_call(ctx, reason)
        self.wiring.flush()

    def close_capabilities(self, grace: float) -> None:
        """Have every capability stop what it runs, within `grace` seconds."""
        self.roster.close(grace)

    def close(self) -> None:
        """Let every thread end that has no work; the others are not waited for."""
        self.crew.close()
        self.loop.close()

    def _fail(self, error: RemoteProtocolError) -> None:
        self.wiring.fail(CallFailed(str(error), name="rpc.protocol"))
        self._end(f"the host broke the protocol: {error}")

    def _end(self, reason: str) -> None:
        self.nested.fail_all(reason)
        self.ending.lose(reason)

    # What contexts and capabilities ask for.

    def context(self, name: str) -> Context:
        return Context(self, name)

    def run_async(self, make: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        return self.loop.run(make)

    def adopt(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def log(self, level: str, logger: str, message: str, fields: Mapping[str, Any]) -> None:
        self.wiring.log(level, logger, message, fields)

    def drain(self) -> None:
        self.wiring.drain()

    def leave(self, reason: str) -> None:
        self.ending.leave(reason)

    def progress(self, msgid: int, done: float, total: float | None, message: str) -> None:
        self.wiring.progress(msgid, done, total, message)

    def call_host(self, ctx: Context, method: str, params: dict[str, Any]) -> Any:
        if ctx.awaits:
            return self.nested.call_async(ctx, method, params)
        self.step_aside()
        return self.nested.call(ctx, method, params)

    def start_call(
        self, ctx: Context, method: str, params: dict[str, Any], answered: Listener
    ) -> Callable[[CallError], None]:
        return self.nested.start(ctx, method, params, answered)

    def step_aside(self) -> None:
        leader = self.crew.leader
        if leader is not None and leader.thread == threading.get_ident():
            self.crew.give_lead(leader)
