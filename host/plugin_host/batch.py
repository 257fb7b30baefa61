"""Many calls of one command, of which several are in flight at any time.

Parameters are taken from their source as there is room for them, so it may be endless in all but its
results. Invariant: however a batch ends, nothing of it is left in flight.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .bundle import FEATURE, METHOD, Pace, outcomes
from .command import call_metadata, explained, is_flat, own_failure, positional
from .errors import CallError
from .metric.call import OTHER
from .service import current_caller
from .trace import current_trace

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from .link import Link
    from .plugin import Plugin

__all__ = ["IN_FLIGHT", "call_batch"]

IN_FLIGHT = 256  # enough to keep both sides busy, and few enough for one that is stopped in the middle


async def call_batch(
    plugin: Plugin,
    link: Link,
    command: str,
    many: Iterable[Any],
    timeout: float | None,
    return_exceptions: bool,
) -> list[Any]:
    """The results, in the order of the parameters; see `PluginHost.call_many` for what it raises."""
    batch = _Batch(plugin, link, command, many, timeout)
    results: list[Any] = []
    try:
        while await batch.go_on():
            ended, has_failed = await batch.next()
            if has_failed and not return_exceptions:
                place, error = next((i, one) for i, one in enumerate(ended) if isinstance(one, CallError))
                error.add_note(f"call {len(results) + place} of the batch")
                raise error
            results += ended
    finally:
        batch.give_up()
    return results


class _Batch:
    """What is in flight, in order: requests, each with the parameters it is for; or why one was not sent.

    Where the plugin can, several calls share a request, see `bundle`.
    """

    def __init__(
        self, plugin: Plugin, link: Link, command: str, many: Iterable[Any], timeout: float | None
    ) -> None:
        self._plugin = plugin
        self._link = link
        self._command = command
        self._source = iter(many)
        self._has_more = True
        self._timeout = timeout
        self._deadline: float | None = None
        self._meta: dict[str, Any] | None = None
        trace = current_trace.get()
        if timeout is not None or current_caller.get() is not None or trace is not None:
            self._deadline, self._meta = call_metadata(plugin, command, timeout)
        # In a trace every call is a span of its own.
        self._pace = Pace() if trace is None and FEATURE in link.features else None
        self._row = plugin.meter.calls[command if isinstance(command, str) else OTHER]
        self._waiting: deque[_Request | CallError] = deque()
        self._calls = 0  # that are in flight

    async def go_on(self) -> bool:
        """Send more if there is room for it; whether there is an answer to wait for."""
        room = IN_FLIGHT - self._calls
        if self._has_more and room >= IN_FLIGHT // 2:
            chunk = list(islice(self._source, room))  # it may be slow, and is not ours
            self._has_more = len(chunk) == room
            self._link.corked(lambda: self._waiting.extend(self._send(chunk)))
        return bool(self._waiting)

    def _send(self, chunk: list[Any]) -> list[_Request | CallError]:
        """Send a call for each, alone or with others."""
        sent: list[_Request | CallError] = []
        at = 0
        while at < len(chunk):
            request: _Request | CallError | None = self._send_together(chunk, at)
            if request is None:
                request = self._send_alone(chunk[at])
                if self._pace is not None:
                    self._pace.note_single()
            at += 1 if isinstance(request, CallError) else len(request.many)
            sent.append(request)
        return sent

    def _send_together(self, chunk: list[Any], at: int) -> _Request | None:
        """A request for the next few, or None: then the next has to go alone."""
        many = chunk[at : at + (1 if self._pace is None else self._pace.size())]
        if len(many) == 1:
            return None
        begun = perf_counter()
        try:
            for params in many:
                if not is_flat(params):
                    self._link.survey(params)
            arguments = {"name": self._command, "many": many}
            msgid, answer = self._link.request(
                METHOD, arguments, self._meta, self._deadline, None, self._command
            )
        except CallError:  # each by itself may be sent, or says what is wrong
            return None
        return self._note(_Request(msgid, answer, begun, many))

    def _send_alone(self, params: Any) -> _Request | CallError:
        plugin, command, begun = self._plugin, self._command, perf_counter()
        method, meta = "command.call", self._meta
        arguments: Any = {"name": command, "params": params or {}}
        try:
            if plugin.is_raw:
                method, arguments, meta = command, positional(plugin, params), None
            elif not is_flat(params):
                self._link.survey(params)
                arguments["params"] = params
            msgid, answer = self._link.request(method, arguments, meta, self._deadline, None, command)
        except CallError as error:
            self._row.started += 1
            self._row.fail(0.0, error)
            return error
        return self._note(_Request(msgid, answer, begun, [params], is_bundle=False))

    def _note(self, request: _Request) -> _Request:
        self._row.started += len(request.many)
        self._calls += len(request.many)
        return request

    async def next(self) -> tuple[list[Any], bool]:
        """What the next few calls have ended with, results and CallErrors, and whether one has failed."""
        request = self._waiting[0]
        if isinstance(request, CallError):
            self._waiting.popleft()
            return [request], True
        plugin, command, count = self._plugin, self._command, len(request.many)
        ended: list[Any]
        try:
            answer = request.answer
            result = answer.result() if answer.done() else await answer
            if request.is_bundle:
                ended = outcomes(plugin, command, result, count, self._explained)
            elif plugin.is_raw:
                ended = [result]
            elif type(result) is dict and result.get("status") == 0:
                ended = [result.get("result")]
            else:
                ended = [own_failure(plugin, command, result)]
        except CallError as error:
            ended = [self._explained(error)] * count
        self._waiting.popleft()
        has_failed = self._count(request, ended)
        if request.is_bundle and self._pace is not None:
            self._pace.note_answer(len(ended))
        if len(ended) < count:
            self._send_again(request.many[len(ended) :])
        return ended, has_failed

    def _count(self, request: _Request, ended: list[Any]) -> bool:
        """Take them out of those in flight; whether one has failed."""
        seconds = perf_counter() - request.begun
        failed = [one for one in ended if isinstance(one, CallError)]
        for error in failed:
            self._row.fail(seconds, error)
        self._row.end_many(len(ended) - len(failed), seconds)
        self._calls -= len(request.many)
        self._row.started -= len(request.many) - len(ended)
        return bool(failed)

    def _explained(self, error: CallError) -> CallError:
        return explained(self._plugin, self._command, self._timeout, self._deadline, error)

    def _send_again(self, many: list[Any]) -> None:
        """Calls of a bundle that were not run, each by itself, and before all others."""
        again: list[_Request | CallError] = []
        self._link.corked(lambda: again.extend(map(self._send_alone, many)))
        self._waiting.extendleft(reversed(again))

    def give_up(self) -> None:
        """Cancel what is in flight."""
        while self._waiting:
            request = self._waiting.popleft()
            if not isinstance(request, CallError):
                self._link.abandon(request.msgid)
                request.answer.cancel()
                self._row.end_many(len(request.many), perf_counter() - request.begun)


class _Request:
    """One that was sent, with the parameters of the calls that it is for."""

    __slots__ = ("answer", "begun", "is_bundle", "many", "msgid")

    def __init__(
        self,
        msgid: int,
        answer: asyncio.Future[Any],
        begun: float,
        many: list[Any],
        is_bundle: bool = True,
    ) -> None:
        self.msgid = msgid
        self.answer = answer
        self.begun = begun
        self.many = many
        self.is_bundle = is_bundle
