"""Many calls of one command, of which several are in flight at any time.

Parameters are taken from their source as there is room for them, so it may be endless in all but its
results. Invariant: however a batch ends, nothing of it is left in flight.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from itertools import islice
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from .bundle import CALLS, FEATURE, METHOD, Pace, outcomes
from .command import call_metadata, explained, is_flat, own_failure, positional
from .errors import CallError, CallTimeout
from .metric.call import OTHER
from .service import current_caller
from .trace import current_trace

if TYPE_CHECKING:
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
        while batch.go_on():
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
        self._is_late = False  # the deadline has passed: nothing is sent any more
        trace = current_trace.get()
        if timeout is not None or current_caller.get() is not None or trace is not None:
            self._deadline, self._meta = call_metadata(plugin, command, timeout)
        # In a trace every call is a span of its own.
        self._pace = Pace(CALLS if trace is None and FEATURE in link.features else 1)
        with link.mutex:
            self._row = plugin.meter.calls[command if isinstance(command, str) else OTHER]
        self._waiting: deque[_Request | CallError] = deque()
        self._calls = 0  # that wait there

    def go_on(self) -> bool:
        """Send more if there is room for it; whether there is an answer to wait for."""
        room = IN_FLIGHT - self._calls
        if self._has_more and room >= IN_FLIGHT // 2:
            chunk = list(islice(self._source, room))  # it may be slow, and is not ours
            self._has_more = len(chunk) == room
            self._link.corked(lambda: self._send(chunk))
        return bool(self._waiting)

    def _send(self, chunk: list[Any]) -> None:
        """Send a call for each, alone or with others."""
        self._note_time()
        at = 0
        while at < len(chunk):
            many = chunk[at : at + self._pace.size()]
            at += len(many)
            if len(many) == 1 or not self._send_together(many):
                self._send_singly(many)
                self._pace.note_single()

    def _note_time(self) -> None:
        """What is left of it goes with the calls that are sent now."""
        if self._deadline is not None:
            left = self._deadline - monotonic()
            self._is_late = left <= 0
            self._meta = {**(self._meta or {}), "timeout_ms": max(1, int(left * 1000))}

    def _send_together(self, many: list[Any]) -> bool:
        """Whether it was sent; else each by itself may be, or says what is wrong."""
        begun = perf_counter()
        if self._is_late:
            return False
        try:
            for params in many:
                if not is_flat(params):
                    self._link.survey(params)
            arguments = {"name": self._command, "many": many, "split": True}
            msgid, answer = self._link.request(
                METHOD, arguments, self._meta, self._deadline, None, self._command
            )
        except CallError:
            return False
        request = _Request(msgid, answer, begun, many)
        self._link.splits[msgid] = partial(self._split, request)
        self._note(request, len(many))
        return True

    def _send_singly(self, many: list[Any]) -> None:
        for params in many:
            self._send_alone(params)

    def _send_alone(self, params: Any) -> None:
        plugin, command, begun = self._plugin, self._command, perf_counter()
        method, meta = "command.call", self._meta
        arguments: Any = {"name": command, "params": {} if params is None else params}
        try:
            if self._is_late:
                raise CallTimeout("the deadline passed before the call was sent", name="command.timeout")
            if plugin.is_raw:
                method, arguments, meta = command, positional(plugin, params), None
            elif not is_flat(params):
                self._link.survey(params)
            msgid, answer = self._link.request(method, arguments, meta, self._deadline, None, command)
        except CallError as error:
            self._note(self._explained(error), 1)
            self._row.fail(0.0, error)
        else:
            self._note(_Request(msgid, answer, begun, [params], is_bundle=False), 1)

    def _note(self, request: _Request | CallError, calls: int) -> None:
        """It is waited for, from the moment on that it was sent."""
        self._waiting.append(request)
        self._calls += calls
        self._row.started += calls

    def _split(self, request: _Request, params: dict[str, Any]) -> None:
        """One of the calls of a request lasts: it keeps that for itself, and those behind it go on."""
        if request not in self._waiting:
            return
        try:
            ended = self._outcomes(params, len(request.many) - 1)
        except CallError as error:
            self._link.abandon(request.msgid)
            if not request.answer.done():  # it may have been answered already
                request.answer.set_exception(error)
            return
        left = request.split(ended)
        self._pace.note_answer(0)
        self._calls -= len(left)
        with self._link.mutex:
            self._row.started -= len(left)
        known, place = list(self._waiting), self._waiting.index(request) + 1
        self._waiting.clear()
        self._note_time()
        self._link.corked(lambda: self._send_singly(left))
        self._waiting = deque([*known[:place], *self._waiting, *known[place:]])

    async def next(self) -> tuple[list[Any], bool]:
        """What the next few calls have ended with, results and CallErrors, and whether one has failed."""
        request = self._waiting[0]
        if isinstance(request, CallError):
            await asyncio.sleep(0)  # nobody else may have had a turn since it was refused
            self._waiting.popleft()
            self._calls -= 1
            return [request], True
        answer = request.answer
        try:
            result = answer.result() if answer.done() else await answer
            ended = self._ended(request, result)
        except CallError as error:
            lost = len(request.many) - len(request.ended)
            ended = [*request.ended, *[self._explained(error)] * lost]
        self._waiting.popleft()
        self._link.splits.pop(request.msgid, None)
        has_failed = self._count(request, ended)
        if request.is_bundle:
            self._pace.note_answer(len(ended))
        if len(ended) < len(request.many):
            self._send_again(request.many[len(ended) :])
        return ended, has_failed

    def _ended(self, request: _Request, result: Any) -> list[Any]:
        """What its calls have ended with, by its answer. Raises CallError."""
        if request.is_bundle:
            return self._outcomes(result, len(request.many))
        if self._plugin.is_raw:
            return [result]
        if type(result) is dict and result.get("status") == 0:
            return [*request.ended, result.get("result")]
        return [*request.ended, own_failure(self._plugin, self._command, result)]

    def _outcomes(self, answer: Any, count: int) -> list[Any]:
        return outcomes(self._plugin, self._command, answer, count, self._explained)

    def _count(self, request: _Request, ended: list[Any]) -> bool:
        """Take them out of those that wait; whether one has failed."""
        seconds = perf_counter() - request.begun
        failed = [one for one in ended if isinstance(one, CallError)]
        self._calls -= len(request.many)
        with self._link.mutex:  # other threads count in the same row
            for error in failed:
                self._row.fail(seconds, error)
            self._row.end_many(len(ended) - len(failed), seconds)
            self._row.started -= len(request.many) - len(ended)
        return bool(failed)

    def _explained(self, error: CallError) -> CallError:
        return explained(self._plugin, self._command, self._timeout, self._deadline, error)

    def _send_again(self, many: list[Any]) -> None:
        """Calls of a bundle that were not run, each by itself, and before all others."""
        self._note_time()
        self._link.corked(lambda: self._send_singly(many))
        self._waiting.rotate(len(many))

    def give_up(self) -> None:
        """Cancel what is in flight."""
        with self._link.mutex:
            for request in self._waiting:
                if not isinstance(request, CallError):
                    self._link.splits.pop(request.msgid, None)
                    self._link.abandon(request.msgid)
                    request.answer.cancel()  # which also keeps an error that came from being reported
                    self._row.end_many(len(request.many), perf_counter() - request.begun)
        self._waiting.clear()


class _Request:
    """One that was sent, with the parameters of the calls that it is for.

    `ended` is what the first of them have ended with, of one that was split: then its answer is that of the
    last.
    """

    __slots__ = ("answer", "begun", "ended", "is_bundle", "many", "msgid")

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
        self.ended: list[Any] = []

    def split(self, ended: list[Any]) -> list[Any]:
        """It is for the calls that have ended and one more; the parameters of the others."""
        self.ended, self.is_bundle = ended, False
        count = len(ended) + 1
        left, self.many = self.many[count:], self.many[:count]
        return left
