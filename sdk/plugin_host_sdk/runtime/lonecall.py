"""The short way of calls that come alone: read, run and answered by the leader, one after the other.

A host that waits for each answer sends them so, and then each begins with cold caches, where every look-up
costs. So what the way needs is at hand here in local names, and the rare is left to the long way of
`Server`, which leads to the same states. Invariant: a request that was taken here is answered, or given to
the server whole.
"""

from __future__ import annotations

from time import perf_counter

from plugin_host_sdk.alone import take_request
from plugin_host_sdk.context import Context
from plugin_host_sdk.errors import CallError, LocalProtocolError
from plugin_host_sdk.later import Later
from plugin_host_sdk.protocol import FRAME_BYTES

from .explanation import explained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol

    from plugin_host_sdk.endpoint import Endpoint, Resolver
    from plugin_host_sdk.events import RequestReceived
    from plugin_host_sdk.lane import Outbox

    from .crew import Crew, Worker
    from .ending import Ending
    from .preemption import Preemptions
    from .wiring import Wiring

    class LongWay(Protocol):
        """The server, which does what is not done here."""

        @property
        def plugin_id(self) -> str: ...
        @property
        def settings(self) -> Mapping[str, Any]: ...
        @property
        def routes(self) -> Mapping[str, Resolver]: ...

        wiring: Wiring
        crew: Crew
        ending: Ending
        running: dict[int, Context]
        preemptions: Preemptions
        clock: float
        finished: int

        def serve(self, request: RequestReceived, me: Worker, /) -> bool: ...
        def leads_on(self, me: Worker, /) -> bool: ...
        def end_run(
            self, endpoint: Endpoint, ctx: Context, result: Any, error: CallError | None, me: Worker, /
        ) -> None: ...


__all__ = ["SLOW", "serve_alone"]

# A run over this time may not be repeated on a reading thread.
SLOW = 0.002


def serve_alone(server: LongWay, me: Worker) -> memoryview | None:
    """Serve while reads bring one plain call each; the read that does not, None when the lead was lost."""
    wiring, crew, running, ending = server.wiring, server.crew, server.running, server.ending
    connection, outbox, mutex, writing = wiring.connection, wiring.outbox, wiring.mutex, wiring.writing
    read, route, send_response = wiring.channel.read, server.routes.get, connection.send_response
    while True:
        if outbox.control or outbox.bulk or wiring.late:
            wiring.flush()
        data = read()
        with mutex:
            event: RequestReceived | None = take_request(connection, data)
        if event is None:
            return data
        server.clock = begun = perf_counter()
        endpoint = arguments = None
        if event.meta is None and not ending.is_asked:
            try:
                endpoint, arguments = route(event.method)(event.params)  # type: ignore[misc]
            except Exception:
                pass  # there is no such method, it does not take this, or cannot now: `serve` says which
        if endpoint is None or not endpoint.quick:
            if not server.serve(event, me):
                return None
            del event, arguments
            continue
        msgid = event.msgid
        running[msgid] = ctx = Context(server, endpoint.name, msgid)  # type: ignore[arg-type]
        crew.turn += 1
        crew.acting = me
        if crew.is_parked:
            crew.unpark()
        ctx.arrived = begun
        ctx.begin(server.settings)
        result = error = answer = None
        try:
            result = endpoint.run(ctx, arguments)
        except BaseException as problem:
            error = explained(ctx, problem)
        with mutex:
            if error is None and crew.leader is me and type(result) is not Later and not ending.is_asked:
                try:
                    answer = send_response(msgid, result)
                except LocalProtocolError:
                    pass  # `end_run` comes to the same, and tells the host
                else:
                    del running[msgid]
                    server.finished += 1
                    crew.acting = None  # the turn ends here
                    if outbox.control or outbox.bulk or wiring.late or not writing.acquire(False):
                        answer = _queued(outbox, answer)
        if answer is None:
            server.end_run(endpoint, ctx, result, error, me)
            if not server.leads_on(me):
                return None
        # One look at the clock, before the answer is written, which may wake its reader here.
        elif perf_counter() - begun > SLOW and not server.preemptions.excuse(server.finished):
            endpoint.ran_slow()
        if answer:
            wiring.write_alone(answer)
        del event, arguments, ctx, result, error, answer  # nobody keeps what the call was about


def _queued(outbox: Outbox, answer: bytes) -> bytes:
    """Put it where `Server` would; nothing is left to be written."""
    if len(answer) > FRAME_BYTES:
        outbox.put_bulk("message", (answer,))
    else:
        outbox.control.append(answer)
    return b""
