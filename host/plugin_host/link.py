"""The asyncio driver of a connection: reads when there is something, writes when there is room.

A `Link` turns requests into futures. It knows the protocol and no process: whoever owns it says what to
do with the peer's requests and notifications, and with its end. Used from the thread of its loop only.

Invariants: the link never stops reading, so a plugin that writes never blocks for ever, though one that
floods its owner is given a part of the loop's time; what waits for a plugin is bounded, and one that
does not read is told from one that reads slowly; when the link ends, every future ends.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from plugin_host_sdk.errors import CallError, CallFailed
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
from plugin_host_sdk.protocol import READY

from .asker import Asker
from .echo import without_echo
from .lonecall import LoneAsker
from .readroom import READ_BYTES, SMALL_READ_BYTES, is_flood, shared_room
from .reply import error_reply, result_reply
from .stream import Streams
from .unsent import unheld
from .writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host_sdk.connection import Connection
    from plugin_host_sdk.events import Event

    from .channel import Channel
    from .linkowner import LinkOwner

    LinkMaker = Callable[[Channel, Connection, LinkOwner], "Link"]

__all__ = ["DRAINED_READS", "READS_AT_ONCE", "Link"]

DRAINED_READS = 1024
# A full read has more behind it, and another turn of the loop costs half as much as reading that.
READS_AT_ONCE = 4
# One that is to slow down has less: after a read its link rests four times as long as that took.
_REST = 4
_SHORTEST_REST_S = 0.001


class Link(LoneAsker):
    """One connection over one channel. `peer` is what messages call the other side."""

    mutex: AbstractContextManager[object] = nullcontext()
    """Held by who touches what belongs to the link, or is counted with it: for one thread, nothing."""
    gathers: ClassVar[bool] = True
    """Whether calls of one turn of the loop may go together."""

    _make_room: Callable[[], memoryview] = staticmethod(shared_room)

    def __init__(
        self, channel: Channel, connection: Connection, owner: LinkOwner, peer: str = "plugin"
    ) -> None:
        self._channel = channel
        self._owner = owner
        loop = asyncio.get_running_loop()
        super().__init__(connection, self._make_writer(loop, peer), loop, peer)
        self.initialized: asyncio.Future[dict[str, Any]] = loop.create_future()
        self.features: frozenset[str] = frozenset()  # what the peer named in its answer to `initialize`
        self.streams = self._make_streams()
        self._stream_handlers = self.streams.handlers
        self._recv_into = channel.recv_into
        self._receive = connection.receive_data
        self._view = self._make_room()
        self._small_view = self._view[:SMALL_READ_BYTES]
        self._room = self._view  # where the next read goes
        self.has_heard = True  # set by every read; who wants to know of silence clears it
        self._is_to_rest = False
        self._rest: asyncio.TimerHandle | None = None
        self.received_bytes = 0
        self._listen()

    def _make_writer(self, loop: asyncio.AbstractEventLoop, peer: str) -> Writer:
        return Writer(self._channel, loop, self._lose, peer)

    def _make_streams(self) -> Streams:
        return Streams(self.connection, self._writer)

    def __repr__(self) -> str:
        return f"<Link {self.connection!r} in flight={len(self._futures)} {self._writer!r}>"

    @property
    def sent_bytes(self) -> int:
        """How much the channel took."""
        return self._writer.sent_bytes

    @property
    def is_over(self) -> bool:
        """Whether the link has ended."""
        return self._is_over

    # Asking.

    def initialize(self, params: dict[str, Any]) -> None:
        """Send `initialize`; `initialized` is its answer."""
        self._writer.write(self.connection.send_initialize(params))

    # Answering.

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the peer that none of its requests should be begun."""
        return self._writer.is_full

    def room(self) -> asyncio.Future[None] | None:
        """What to wait for before more is made for the peer; None when there is room, or no peer."""
        return self._writer.room()

    def answer(self, msgid: int, result: Any) -> None:
        """The result of a request of the peer; what cannot travel becomes an error."""
        if not self._is_over and msgid in self.connection.incoming:
            if self._writer.is_overfull:
                self.refuse(msgid, unheld(self._peer, self._writer.excess))
            else:
                self._writer.write(result_reply(self.connection, msgid, result))

    def refuse(self, msgid: int, error: CallError) -> None:
        """An error as the answer to a request of the peer."""
        if not self._is_over and msgid in self.connection.incoming:
            self._writer.write(error_reply(self.connection, msgid, error))

    # Reading.

    def _tell(self) -> None:
        if self._untold:
            data, self._untold = b"".join(self._untold), []
            if not self._is_over:
                self._act_on(self._receive(data), len(data))

    def _read(self, again: int = READS_AT_ONCE - 1) -> None:
        if self._untold:
            self._tell()
            if self._is_over or self._is_resting:
                return
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
        data = self._view[:size]
        if len(self.connection.pending) == 1 and self._take_alone(data):
            return
        rests = self._act_on(self._receive(data), size)
        if size == READ_BYTES and again and not rests and not self._is_over:
            self._read(again - 1)

    def _act_on(self, events: list[Event], size: int) -> bool:
        """Act on what a read of `size` bytes brought; whether the link rests now."""
        spent = 0.0
        if len(events) == 1:
            event = events[0]
            if type(event) is ResponseReceived:
                self._finish(event.msgid, event.result)
            else:
                self._handle(event)
        elif events:
            begun = self._loop.time()
            self.gather(partial(self._handle_all, events))
            self._room = self._small_view if is_flood(events, size) else self._view
            spent = self._loop.time() - begun
        else:
            self._room = self._view
        if not self._is_to_rest:
            return False
        self._take_rest(spent)
        return True

    def slow_down(self) -> None:
        """The owner has no use for so much: rest when what is being read has been told."""
        self._is_to_rest = True

    def _take_rest(self, spent: float) -> None:
        self._is_to_rest = False
        # One that is being stopped has its last words heard without delay.
        if not self._is_over and self.connection.state is READY:
            self._stop_listening()
            self._is_resting = True
            self._rest = self._loop.call_later(max(_SHORTEST_REST_S, _REST * spent), self._go_on)

    def _go_on(self) -> None:
        self._is_resting = False
        if not self._is_over:
            self._listen()

    def _listen(self) -> None:
        self._loop.add_reader(self._channel.read_fd, self._read)

    def _stop_listening(self) -> None:
        if self._channel.read_fd >= 0:
            self._loop.remove_reader(self._channel.read_fd)

    def drain(self) -> None:
        """Read what has already arrived: answers of a peer that has just ended still count."""
        untold, self._untold = b"".join(self._untold), []
        if untold and not self._is_over:
            self._handle_all(self._receive(untold))
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
            named = event.result.get("features")
            if isinstance(named, list):
                self.features = frozenset(name for name in named if type(name) is str)
            self.initialized.set_result(event.result)

    def _handle_refused(self, event: InitializeRefused) -> None:
        if not self.initialized.done():
            self.initialized.set_exception(CallError.from_map(event.error))

    _handlers: ClassVar[dict[type, Callable[[Link, Any], None]]] = {
        ResponseReceived: Asker._deliver,
        ErrorReceived: Asker._deliver_error,
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

    def close(self) -> None:
        """Stop reading and writing; open futures stay for `fail_calls`. The channel is the owner's."""
        if not self._is_over:
            self._stop_io()
        self.initialized.cancel()
