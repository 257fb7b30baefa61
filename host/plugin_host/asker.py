"""What a link has asked of its peer and is waiting for.

Invariant: every request that was made ends, with an answer, an error or the link, unless it is abandoned;
an answer finds its request however many there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plugin_host_sdk.alone import NO_ANSWER, take_answer
from plugin_host_sdk.errors import CallError, CallTimeout, LocalProtocolError
from plugin_host_sdk.protocol import FRAME_BYTES, PENDING_REQUESTS

from .callfuture import CallFuture
from .deadline import Deadlines
from .unsent import refusal, stuck, too_many

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from plugin_host_sdk.connection import Connection
    from plugin_host_sdk.events import ErrorReceived, ResponseReceived

    from .gatherer import Gatherer
    from .waiter import Answer
    from .writer import Writer

    Progress = Callable[[float, float | None, str], None]

__all__ = ["Asker"]

# Calls that are open before what else is asked in the same turn of the loop goes together. The first go at
# once; and few callers would stay divided, one who went alone and the others, for as long as they ask on.
_SINGLY = 8


def _nothing() -> None:
    pass


class Asker:
    """The requests of one side of a connection. `peer` is what messages call the other."""

    def __init__(
        self, connection: Connection, writer: Writer, loop: asyncio.AbstractEventLoop, peer: str
    ) -> None:
        self.connection = connection
        self._writer = writer
        self._loop = loop
        self._peer = peer
        self._futures: dict[int, Answer] = {}
        self._progress: dict[int, Progress] = {}
        self._queued: dict[int, int] = {}  # sizes of the calls that found the channel full
        self._deadlines = Deadlines(loop, self._expire)
        self._times = self._deadlines.times
        self.gathering = 0  # while it is not 0, what is asked goes together
        self.joint: Gatherer | None = None
        self.splits: dict[int, Callable[[Any], None]] = {}  # who is told that a request was split
        self._held = 0  # the last id of a call that was never sent: those are negative
        self._is_over = False
        self._why: Callable[[], Exception] | None = None  # the link has ended, once that is known

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer; several calls may share one."""
        return len(self._futures)

    def calls(self) -> list[str]:
        """The names of the calls in flight, the oldest first; without those of the host's own."""
        names = self.connection.pending
        count = self.joint.count if self.joint is not None else lambda msgid: 1
        return [name for msgid in self._futures if (name := names.get(msgid)) for _ in range(count(msgid))]

    @property
    def oldest_call(self) -> int | None:
        """The id of the call that has waited longest for its answer."""
        return next(iter(self._futures), None)

    # Asking.

    def request(
        self,
        method: str,
        params: Any,
        meta: dict[str, Any] | None = None,
        deadline: float | None = None,
        on_progress: Progress | None = None,
        name: str | None = None,
        at_once: bool = False,
    ) -> tuple[int, asyncio.Future[Any]]:
        """Send a request; its id, and the future of its result, which fails with CallError.

        `deadline` is a time of the loop. `name` is what the call is known by while it is in flight, the
        method unless given; an empty one is the host's own and not counted among the calls. A caller that
        stops waiting calls `abandon` with the id. With `at_once` it hears of the result where that is read,
        if it can.

        Raises CallFailed when it cannot be sent: too large, not encodable, too many in flight.
        """
        future: Any = CallFuture(self._loop) if at_once else self._loop.create_future()
        return self._send(future, method, params, meta, deadline, on_progress, name), future

    def call(
        self,
        method: str,
        params: Any,
        meta: dict[str, Any] | None,
        deadline: float | None,
        on_progress: Progress | None,
        name: str,
    ) -> tuple[int | None, Any]:
        """The same for a task that waits for nothing else, and goes on at once if nobody else waits."""
        future = self._loop.create_future() if self._futures else CallFuture(self._loop)
        msgid = self._send(future, method, params, meta, deadline, on_progress, name)
        if len(self._futures) >= _SINGLY and not self.gathering and self.joint is not None:
            self.gather(_nothing)
        return msgid, future

    def _send(
        self,
        future: Answer,
        method: str,
        params: Any,
        meta: dict[str, Any] | None,
        deadline: float | None,
        on_progress: Progress | None,
        name: str | None,
    ) -> int:
        if self.gathering and self.joint is not None:
            self.joint.flush()  # those came before
        connection, writer = self.connection, self._writer
        if len(connection.pending) + len(connection.abandoned) >= PENDING_REQUESTS:
            raise too_many(self._peer)
        if self._is_over:
            return self._hold(future)
        if writer.is_waiting:
            self._check_room(name)
        try:
            msgid, data = connection.send_request(method, params, meta)
        except LocalProtocolError as error:
            raise refusal(error) from None
        self._futures[msgid] = future
        if name is not None:
            connection.pending[msgid] = name
        if deadline is not None:
            self._deadlines.add(msgid, deadline)
        if on_progress is not None:
            self._progress[msgid] = on_progress
        writer.write_call(data)
        if writer.is_waiting:
            self._note_queued(msgid, len(data))
        return msgid

    def _check_room(self, name: str | None) -> None:
        """Raise CallFailed when too much waits for one more call, unless it is one of the host's own."""
        if self._writer.is_overfull and name != "":
            raise stuck(self._peer, self._writer.excess)

    def corked(self, ask: Callable[[], None]) -> None:
        """Write the small requests that `ask` makes together."""
        writer = self._writer
        was_corked, writer.is_corked = writer.is_corked, True
        try:
            ask()
        finally:
            if not was_corked:
                writer.uncork()

    def gather(self, tell: Callable[[], None]) -> None:
        """What is asked by those whom `tell` wakes goes together: they run before the last step here."""
        self.gathering += 1
        self._writer.is_corked = True
        try:
            tell()
        finally:
            self._loop.call_soon(self._gather_no_more)

    def _gather_no_more(self) -> None:
        self.gathering -= 1
        self.send_gathered()

    def send_gathered(self) -> None:
        """Send what was asked until now."""
        if self.joint is not None:
            self.joint.flush()
        self._writer.uncork()
        self._writer.is_corked = self.gathering > 0

    def survey(self, params: Any) -> None:
        """Refuse what the plugin's decoder would not take, which would cost the plugin its life.

        Raises CallFailed.
        """
        try:
            self.connection.survey(params)
        except LocalProtocolError as error:
            raise refusal(error) from None

    def _hold(self, future: Answer) -> int:
        """A call after the link's end: it fails like the others, which may wait for the word why."""
        self._held -= 1
        self._futures[self._held] = future
        if self._why is not None:
            self._futures.pop(self._held).set_exception(self._why())
        return self._held

    def abandon(self, msgid: int) -> Answer | None:
        """Nobody waits for this call any more: tell the peer, and drop the late answer."""
        future = self._futures.pop(msgid, None)
        if future is not None:
            queued = self._forget(msgid)
            cancel = self.connection.send_cancel(msgid)
            if cancel:
                # It must not overtake its call, which would then run for nobody.
                self._writer.write(cancel, after_bulk=queued > FRAME_BYTES)
            else:
                self._writer.check()
        return future

    def _note_queued(self, msgid: int, size: int) -> None:
        self._queued[msgid] = size
        self._writer.call_bytes += size

    def _forget(self, msgid: int) -> int:
        """The call has ended; the bytes of it that had to queue, whether or not they still do."""
        self._times.pop(msgid, None)
        self._progress.pop(msgid, None)
        size = self._queued.pop(msgid, 0)
        self._writer.call_bytes -= size
        return size

    def _expire(self, msgid: int) -> None:
        future = self.abandon(msgid)
        if future is not None and not future.done():
            future.set_exception(
                CallTimeout("no answer within the call's deadline", name="command.timeout")
            )

    # Hearing.

    def take_split(self, params: dict[str, Any]) -> None:
        """The peer has answered some of the calls of a request, and goes on with one of them alone."""
        msgid = params.get("msgid")
        take = self.splits.pop(msgid, None) if type(msgid) is int else None
        if take is not None:
            take(params)

    def _take_alone(self, data: memoryview) -> bool:
        """Whether that is the answer to the only open request: then who waits goes on, for no task runs."""
        (msgid,) = self.connection.pending
        result = take_answer(self.connection, data, msgid)
        if result is NO_ANSWER:
            return False
        self._finish(msgid, result)
        return True

    def _finish(self, msgid: int, result: Any) -> None:
        """The result that was read last: who waits goes on, for no task runs."""
        future = self._futures.pop(msgid, None)
        if future is None:  # who asked was torn away, by an interrupt perhaps
            return
        if self._times or self._progress or self._queued:
            self._forget(msgid)
        if future.done():
            pass
        elif type(future) is CallFuture:
            future.finish(result)
        else:
            future.set_result(result)

    def _deliver(self, event: ResponseReceived) -> None:
        future = self._futures.pop(event.msgid, None)
        if future is None:  # what came before it in the same read had it given up
            return
        if self._times or self._progress or self._queued:
            self._forget(event.msgid)
        if not future.done():
            future.set_result(event.result)

    def _deliver_error(self, event: ErrorReceived) -> None:
        future = self._futures.pop(event.msgid, None)
        self._forget(event.msgid)
        if future is not None and not future.done():
            future.set_exception(CallError.from_map(event.error))

    def fail_calls(self, make_error: Callable[[], Exception]) -> None:
        """End every future that is still open with an error of its own."""
        self._why = self._why or make_error
        futures, self._futures = self._futures, {}
        self._progress.clear()
        if self.joint is not None:
            self.joint.fail(make_error)
        for future in futures.values():
            if not future.done():
                future.set_exception(make_error())
