"""Many calls of one command, of which several are in flight at any time.

Parameters are taken from their source as there is room for them, so it may be endless in all but its
results. Invariant: however a batch ends, nothing of it is left in flight.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

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
            try:
                results.append(await batch.next())
            except CallError as error:
                if not return_exceptions:
                    error.add_note(f"call {len(results)} of the batch")
                    raise
                results.append(error)
    finally:
        batch.give_up()
    return results


class _Batch:
    """What is in flight: per call its id, its answer and when it was sent; or why it could not be."""

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
        if timeout is not None or current_caller.get() is not None or current_trace.get() is not None:
            self._deadline, self._meta = call_metadata(plugin, command, timeout)
        self._row = plugin.meter.calls[command if isinstance(command, str) else OTHER]
        self._waiting: deque[tuple[int, asyncio.Future[Any], float] | CallError] = deque()

    async def go_on(self) -> bool:
        """Send more if there is room for it; whether there is an answer to wait for."""
        room = IN_FLIGHT - len(self._waiting)
        if self._has_more and room >= IN_FLIGHT // 2:
            chunk = list(islice(self._source, room))  # it may be slow, and is not ours
            self._has_more = len(chunk) == room
            self._link.corked(lambda: self._fill(chunk))
        return bool(self._waiting)

    def _fill(self, chunk: list[Any]) -> None:
        for params in chunk:
            try:
                self._waiting.append(self._send(params))
            except CallError as error:
                self._row.started += 1
                self._row.fail(0.0, error)
                self._waiting.append(error)

    def _send(self, params: Any) -> tuple[int, asyncio.Future[Any], float]:
        plugin, command = self._plugin, self._command
        if plugin.is_raw:
            msgid, answer = self._link.request(
                command, positional(plugin, params), None, self._deadline, None, command
            )
        else:
            if not is_flat(params):
                self._link.survey(params)
            arguments = {"name": command, "params": {} if params is None else params}
            msgid, answer = self._link.request(
                "command.call", arguments, self._meta, self._deadline, None, command
            )
        self._row.started += 1
        return msgid, answer, perf_counter()

    async def next(self) -> Any:
        """The next result. Raises CallError."""
        first = self._waiting[0]
        if isinstance(first, CallError):
            self._waiting.popleft()
            raise first
        _, answer, begun = first
        try:
            result = answer.result() if answer.done() else await answer
            if not self._plugin.is_raw:
                if type(result) is not dict or result.get("status") != 0:
                    raise own_failure(self._plugin, self._command, result)
                result = result.get("result")
        except CallError as error:
            self._waiting.popleft()
            self._row.fail(perf_counter() - begun, error)
            raise explained(self._plugin, self._command, self._timeout, self._deadline, error) from None
        self._waiting.popleft()
        self._row.end(perf_counter() - begun)
        return result

    def give_up(self) -> None:
        """Cancel what is in flight."""
        while self._waiting:
            call = self._waiting.popleft()
            if not isinstance(call, CallError):
                msgid, answer, begun = call
                self._link.abandon(msgid)
                answer.cancel()
                self._row.end(perf_counter() - begun)
