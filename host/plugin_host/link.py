"""The asyncio driver of a connection: reads when there is something, writes when there is room.

A `Link` turns requests into futures. It knows the protocol and no process: whoever owns it says what to
do with the peer's requests and notifications, and with its end. Used from the thread of its loop only.

Invariants: the link never stops reading, so a plugin that writes never blocks for ever, though one that
floods its owner is given a part of the loop's time; what waits for a plugin that does not read is bounded;
when the link ends, every future ends.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from plugin_host_sdk.alone import take_only_answer
from plugin_host_sdk.errors import CallError, CallFailed, CallTimeout, LocalProtocolError
from plugin_host_sdk.events import (
    CancelReceived,
    Closed,
    ErrorReceived,
    Failed,
    Initialized,
    InitializeRefused,
    NotificationReceived,
    PeerFailed,
    ProgressReceived,
    RequestReceived,
    RequestRefused,
    ResponseReceived,
    StrayOutput,
)
from plugin_host_sdk.protocol import FRAME_BYTES, PENDING_REQUESTS, READY

from .deadline import Deadlines
from .echo import without_echo
from .readroom import READ_BYTES, SMALL_READ_BYTES, is_flood, shared_room
from .reply import error_reply, result_reply
from .stream import Streams
from .unsent import refusal, too_many
from .writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host_sdk.connection import Connection
    from plugin_host_sdk.events import Event

    from .channel import Channel
    from .gatherer import Gatherer
    from .linkowner import LinkOwner
    from .waiter import Answer

    Progress = Callable[[float, float | None, str], None]
    LinkMaker = Callable[[Channel, Connection, LinkOwner], "Link"]

__all__ = ["Link"]

DRAINED_READS = 1024
# A full read has more behind it, and another turn of the loop costs half as much as reading that.
_READS_AT_ONCE = 4
# One that is to slow down has less: after a read its link rests four times as long as that took.
_REST = 4
_SHORTEST_REST_S = 0.001


class Link:
    """One connection over one channel. `peer` is what messages call the other side."""

    mutex: AbstractContextManager[object] = nullcontext()
    """Held by who touches what belongs to the link, or is counted with it: for one thread, nothing."""

    _make_room: Callable[[], memoryview] = staticmethod(shared_room)

    def __init__(
        self, channel: Channel, connection: Connection, owner: LinkOwner, peer: str = "plugin"
    ) -> None:
        self.connection = connection
        self._channel = channel
        self._owner = owner
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self.initialized: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._futures: dict[int, Answer] = {}
        self._progress: dict[int, Progress] = {}
        self._queued: dict[int, int] = {}  # sizes of the calls that found the channel full
        self._deadlines = Deadlines(self._loop, self._expire)
        self._times = self._deadlines.times
        self._writer = self._make_writer()
        self.streams = self._make_streams()
        self._stream_handlers = self.streams.handlers
        self._recv_into = channel.recv_into
        self._receive = connection.receive_data
        self._view = self._make_room()
        self._small_view = self._view[:SMALL_READ_BYTES]
        self._room = self._view  # where the next read goes
        self.gathering = 0  # while it is not 0, what is asked goes together
        self.joint: Gatherer | None = None
        self.has_heard = True  # set by every read; who wants to know of silence clears it
        self._is_to_rest = False
        self._rest: asyncio.TimerHandle | None = None
        self.received_bytes = 0
        self._held = 0  # the last id of a call that was never sent: those are negative
        self._is_over = False
        self._why: Callable[[], Exception] | None = None  # the link has ended, once that is known
        self._listen()

    def _make_writer(self) -> Writer:
        return Writer(self._channel, self._loop, self._lose, self._peer)

    def _make_streams(self) -> Streams:
        return Streams(self.connection, self._writer)

    def __repr__(self) -> str:
        return f"<Link {self.connection!r} in flight={len(self._futures)} {self._writer!r}>"

    @property
    def sent_bytes(self) -> int:
        """How much the channel took."""
        return self._writer.sent_bytes

    @property
    def in_flight(self) -> int:
        """Calls that wait for their answer."""
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

    @property
    def features(self) -> frozenset[str]:
        """What the peer named in its answer to `initialize`; nothing before it, and of a raw peer."""
        done = self.initialized
        if not done.done() or done.cancelled() or done.exception() is not None:
            return frozenset()
        named = done.result().get("features")
        return frozenset(n for n in named if type(n) is str) if isinstance(named, list) else frozenset()

    @property
    def is_over(self) -> bool:
        """Whether the link has ended."""
        return self._is_over

    # Asking.

    def initialize(self, params: dict[str, Any]) -> None:
        """Send `initialize`; `initialized` is its answer."""
        self._writer.write(self.connection.send_initialize(params))

    def request(
        self,
        method: str,
        params: Any,
        meta: dict[str, Any] | None = None,
        deadline: float | None = None,
        on_progress: Progress | None = None,
        name: str | None = None,
    ) -> tuple[int, asyncio.Future[Any]]:
        """Send a request; its id, and the future of its result, which fails with CallError.

        `deadline` is a time of the loop. `name` is what the call is known by while it is in flight, the
        method unless given; an empty one is the host's own and not counted among the calls. A caller that
        stops waiting calls `abandon` with the id.

        Raises CallFailed when it cannot be sent: too large, not encodable, too many in flight.
        """
        if self.gathering and self.joint is not None:
            self.joint.flush()  # those came before
        connection, writer = self.connection, self._writer
        if len(connection.pending) + len(connection.abandoned) >= PENDING_REQUESTS:
            raise too_many(self._peer)
        if self._is_over:
            future = self._loop.create_future()
            return self._hold(future), future
        try:
            msgid, data = connection.send_request(method, params, meta)
        except LocalProtocolError as error:
            raise refusal(error) from None
        future = self._futures[msgid] = self._loop.create_future()
        if name is not None:
            connection.pending[msgid] = name
        if deadline is not None:
            self._deadlines.add(msgid, deadline)
        if on_progress is not None:
            self._progress[msgid] = on_progress
        writer.write_call(data)
        if writer.is_waiting:
            self._note_queued(msgid, len(data))
        return msgid, future

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
            self._loop.call_soon(self._send_gathered)

    def _send_gathered(self) -> None:
        self.gathering -= 1
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
            self._times.pop(msgid, None)
            self._progress.pop(msgid, None)
            queued = self._forget_queued(msgid)
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

    def _forget_queued(self, msgid: int) -> int:
        """The call has ended; the bytes of it that had to queue, whether or not they still do."""
        size = self._queued.pop(msgid, 0)
        self._writer.call_bytes -= size
        return size

    def _expire(self, msgid: int) -> None:
        future = self.abandon(msgid)
        if future is not None and not future.done():
            future.set_exception(
                CallTimeout("no answer within the call's deadline", name="command.timeout")
            )

    # Answering.

    def answer(self, msgid: int, result: Any) -> None:
        """The result of a request of the peer; what cannot travel becomes an error."""
        if not self._is_over and msgid in self.connection.incoming:
            self._writer.write(result_reply(self.connection, msgid, result))

    def refuse(self, msgid: int, error: CallError) -> None:
        """An error as the answer to a request of the peer."""
        if not self._is_over and msgid in self.connection.incoming:
            self._writer.write(error_reply(self.connection, msgid, error))

    # Reading.

    def _read(self, again: int = _READS_AT_ONCE - 1) -> None:
        try:
            size = self._recv_into(self._room)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionResetError:
            size = 0
        except OSError as error:
            self._lose(error)
            return
        self.has_heard = True
        self.received_bytes += size
        data, spent = self._view[:size], 0.0
        if alone := take_only_answer(self.connection, data):
            self._deliver(alone)
            return
        events = self._receive(data)
        if len(events) == 1:
            event = events[0]
            if type(event) is ResponseReceived:
                self._deliver(event)
            else:
                self._handle(event)
        elif events:
            begun = self._loop.time()
            self.gather(partial(self._handle_all, events))
            self._room = self._small_view if is_flood(events, size) else self._view
            spent = self._loop.time() - begun
        else:
            self._room = self._view
        if self._is_to_rest:
            self._take_rest(spent)
        elif size == READ_BYTES and again and not self._is_over:
            self._read(again - 1)

    def slow_down(self) -> None:
        """The owner has no use for so much: rest when what is being read has been told."""
        self._is_to_rest = True

    def _take_rest(self, spent: float) -> None:
        self._is_to_rest = False
        # One that is being stopped has its last words heard without delay.
        if not self._is_over and self.connection.state is READY:
            self._stop_listening()
            self._rest = self._loop.call_later(max(_SHORTEST_REST_S, _REST * spent), self._go_on)

    def _go_on(self) -> None:
        if not self._is_over:
            self._listen()

    def _listen(self) -> None:
        self._loop.add_reader(self._channel.read_fd, self._read)

    def _stop_listening(self) -> None:
        if self._channel.read_fd >= 0:
            self._loop.remove_reader(self._channel.read_fd)

    def drain(self) -> None:
        """Read what has already arrived: answers of a peer that has just ended still count."""
        for _ in range(DRAINED_READS):
            if self._is_over:
                return
            try:
                size = self._recv_into(self._view)
            except ConnectionResetError:
                size = 0
            except OSError:
                return
            self.received_bytes += size
            self._handle_all(self._receive(self._view[:size]))

    def _handle_all(self, events: list[Event]) -> None:
        deliver = self._deliver
        for event in events:
            if type(event) is ResponseReceived:
                deliver(event)
            else:
                self._handle(event)

    def _handle(self, event: Event) -> None:
        """Any event but a result."""
        kind = type(event)
        handler = self._stream_handlers.get(kind)
        if handler is not None:
            handler(event)
        else:
            self._handlers[kind](self, event)

    def _deliver(self, event: ResponseReceived) -> None:
        msgid = event.msgid
        future = self._futures.pop(msgid)
        if self._times:
            self._times.pop(msgid, None)
        if self._progress:
            self._progress.pop(msgid, None)
        if self._queued:
            self._forget_queued(msgid)
        if not future.done():
            future.set_result(event.result)

    def _deliver_error(self, event: ErrorReceived) -> None:
        future = self._futures.pop(event.msgid)
        self._times.pop(event.msgid, None)
        self._progress.pop(event.msgid, None)
        self._forget_queued(event.msgid)
        if not future.done():
            future.set_exception(CallError.from_map(event.error))

    def _handle_progress(self, event: ProgressReceived) -> None:
        callback = self._progress.get(event.msgid)
        if callback is not None:
            self._guard(callback, event.done, event.total, event.message)

    def _guard(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call what is not ours: when it raises, the other events of the same read still count."""
        try:
            function(*arguments)
        except Exception as error:
            self._loop.call_exception_handler(
                {"message": f"{getattr(function, '__qualname__', function)} raised", "exception": error}
            )

    def _handle_request(self, event: RequestReceived) -> None:
        if event.method == "ping" and not self.connection.raw:
            self.answer(event.msgid, event.params)
        else:
            self._guard(self._owner.requested, event)

    def _handle_initialized(self, event: Initialized) -> None:
        if not self.initialized.done():
            self.initialized.set_result(event.result)

    def _handle_refused(self, event: InitializeRefused) -> None:
        if not self.initialized.done():
            self.initialized.set_exception(CallError.from_map(event.error))

    _handlers: ClassVar[dict[type, Callable[[Link, Any], None]]] = {
        ResponseReceived: _deliver,
        ErrorReceived: _deliver_error,
        ProgressReceived: _handle_progress,
        RequestReceived: _handle_request,
        Initialized: _handle_initialized,
        InitializeRefused: _handle_refused,
        RequestRefused: lambda self, event: self.refuse(event.msgid, CallError.from_map(event.error)),
        CancelReceived: lambda self, event: self._guard(self._owner.cancelled, event.msgid),
        NotificationReceived: lambda self, event: self._guard(
            self._owner.notified, event.method, event.params
        ),
        PeerFailed: lambda self, event: self._guard(self._owner.notified, "failure", event.error),
        StrayOutput: lambda self, event: self._guard(self._owner.stray_output, without_echo(event.data)),
        Closed: lambda self, event: self._lose(None),
        Failed: lambda self, event: self._break(event.error),
    }

    # Ending.

    def _break(self, error: Exception) -> None:
        """The peer broke the protocol: say so, best effort, and end."""
        self._writer.write(
            self.connection.send_failure(CallFailed(str(error), name="rpc.protocol").to_map())
        )
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if self._is_over:
            return
        self._stop_io()
        self._owner.ended(error)

    def _stop_io(self) -> None:
        self._is_over = True
        if self._rest is not None:
            self._rest.cancel()
        self._stop_listening()
        self._writer.close()
        self._deadlines.close()

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

    def close(self) -> None:
        """Stop reading and writing; open futures stay for `fail_calls`. The channel is the owner's."""
        if not self._is_over:
            self._stop_io()
        self.initialized.cancel()
