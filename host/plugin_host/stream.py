"""The streams of one link: who listens to each, and the frames that go out.

Owns which listener a stream has and nothing of the protocol, which `connection` keeps. Streams that this
side opens are numbered here and named in a request; what arrives before that request is answered is already
theirs. Used from the thread of the link's loop only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from plugin_host_sdk.events import (
    CreditReceived,
    DataReceived,
    EndReceived,
    GapReceived,
    StopReceived,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection

    from plugin_host_sdk.connection import Connection

    from .writer import Writer

__all__ = ["Receiver", "Sender", "Streams"]


class Receiver(Protocol):
    """Hears of one stream that the plugin sends. Must not block."""

    def received(self, stream: int, offset: int, data: bytes) -> None:
        """Bytes; give them back to `Streams.consume` when they are used."""

    def skipped(self, stream: int, offset: int, size: int) -> None:
        """The plugin left `size` bytes out."""

    def ended(self, stream: int, total: int, error: Any) -> None:
        """Nothing more comes."""


class Sender(Protocol):
    """Hears of one stream that this side sends. Must not block."""

    def credited(self) -> None:
        """The plugin takes more."""

    def stopped(self) -> None:
        """The plugin gave it up: `Streams.end` it."""


class Streams:
    """Streams over one connection."""

    def __init__(self, connection: Connection, writer: Writer) -> None:
        self._table = connection.streams
        self._writer = writer
        self._receivers: dict[int, Receiver] = {}
        self._senders: dict[int, Sender] = {}
        self.handlers: dict[type, Callable[[Any], None]] = {
            DataReceived: self._receive_data,
            GapReceived: self._receive_gap,
            EndReceived: self._receive_end,
            CreditReceived: self._receive_credit,
            StopReceived: self._receive_stop,
        }

    def __repr__(self) -> str:
        return f"<Streams receiving={len(self._receivers)} sending={len(self._senders)}>"

    # Receiving.

    def open_receive(self, window: int, receiver: Receiver) -> int:
        """A stream for the plugin to send on, to be named in a request."""
        stream = self._table.reserve()
        self._table.open_receive(stream, window)
        self._receivers[stream] = receiver
        return stream

    def accept(self, stream: int, window: int, receiver: Receiver) -> None:
        """A stream that the peer named in its request. Raises LocalProtocolError for one that was open."""
        self._table.open_receive(stream, window)
        self._receivers[stream] = receiver

    @property
    def receivers(self) -> Collection[Receiver]:
        """Those who still hear of what the plugin sends."""
        return self._receivers.values()

    def consume(self, stream: int, size: int) -> None:
        """The reader took `size` bytes."""
        grant = self._table.consume(stream, size)
        if grant:
            self._writer.write(grant)

    def stop(self, stream: int) -> None:
        """Nobody wants what still comes. Also for one whose request was given up."""
        self._receivers.pop(stream, None)
        if stream in self._table.receiving:
            self._writer.write(self._table.send_stop(stream))

    def forget(self, stream: int) -> None:
        """The request that named it failed."""
        self._receivers.pop(stream, None)
        self._senders.pop(stream, None)
        self._table.forget(stream)

    # Sending.

    def reserve(self) -> int:
        """A stream for this side to send on, to be named in a request."""
        return self._table.reserve()

    def open_send(self, stream: int, credit: int, sender: Sender) -> None:
        """The request was answered: the plugin takes `credit` bytes for now."""
        outbound = self._table.open_send(stream, credit)
        self._senders[stream] = sender
        if outbound.stopped:
            sender.stopped()

    def credit(self, stream: int) -> int:
        """How many bytes may be sent in one frame now."""
        outbound = self._table.sending.get(stream)
        if outbound is None or outbound.stopped:
            return 0
        return min(outbound.window.credit, self._table.peer_frame_bytes)

    def send(self, stream: int, data: bytes | memoryview, *, urgent: bool) -> None:
        """Send up to `credit` bytes; urgent ones, which a person has typed, overtake what is bulk."""
        self._writer.write_frame(stream, b"".join(self._table.send_data(stream, data)), urgent=urgent)

    def skip(self, stream: int, size: int) -> None:
        """Say that `size` bytes are left out."""
        outbound = self._table.sending.get(stream)
        if outbound is not None and not outbound.stopped:
            self._writer.write_frame(stream, self._table.send_gap(stream, size), urgent=False)

    def end(self, stream: int, *, urgent: bool, error: dict[str, Any] | None = None) -> None:
        """Send the last frame; `error` says why it comes early."""
        self._senders.pop(stream, None)
        if stream in self._table.sending:
            self._writer.write_frame(stream, self._table.send_end(stream, error), urgent=urgent)

    def sent(self, stream: int) -> int:
        """How many bytes were sent; 0 for one that is not open."""
        outbound = self._table.sending.get(stream)
        return outbound.offset if outbound is not None else 0

    def room(self) -> asyncio.Future[None] | None:
        """What to wait for before more is sent; None when there is room."""
        return self._writer.room()

    # What the plugin sends.

    def _receive_data(self, event: DataReceived) -> None:
        receiver = self._receivers.get(event.stream)
        if receiver is not None:
            receiver.received(event.stream, event.offset, event.data)

    def _receive_gap(self, event: GapReceived) -> None:
        receiver = self._receivers.get(event.stream)
        if receiver is not None:
            receiver.skipped(event.stream, event.offset, event.size)

    def _receive_end(self, event: EndReceived) -> None:
        receiver = self._receivers.pop(event.stream, None)
        if receiver is not None:
            receiver.ended(event.stream, event.total, event.error)

    def _receive_credit(self, event: CreditReceived) -> None:
        sender = self._senders.get(event.stream)
        if sender is not None:
            sender.credited()

    def _receive_stop(self, event: StopReceived) -> None:
        sender = self._senders.get(event.stream)
        if sender is not None:
            sender.stopped()
