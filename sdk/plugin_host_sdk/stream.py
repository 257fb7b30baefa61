"""The byte streams of one connection: their ids, credit, offsets and ends.

A stream has one direction. It is opened on both sides by a request that names its id, never by a frame:
host ids are even, plugin ids odd, they rise and are never used again. `open_send` and `open_receive`
register this side's end; the `send_*` methods return what to write; the `receive_*` methods take the
parameters of a `stream.*` notification and return the event, or None for a frame that no longer matters.

Invariants: a sender never exceeds its credit; offsets are absolute and without holes (a hole is a
`stream.gap` of its own); `stream.end` is the sender's last frame and carries the offset behind its last
byte, which the receiver checks, so lost bytes cannot look like a clean end.
"""

from __future__ import annotations

from .errors import LocalProtocolError, RemoteProtocolError, excerpt
from .events import CreditReceived, DataReceived, EndReceived, GapReceived, StopReceived
from .frame import data_header
from .protocol import FRAME_BYTES, HOST, NOTIFICATION
from .window import ReceiveWindow, SendWindow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .events import Event
    from .handshake import Limits

__all__ = ["InboundStream", "OutboundStream", "StreamTable"]

# How many ended ids of each side are told apart from ids that were never opened; smaller ones count
# as ended.
_REMEMBERED = 4096
_MAX_CREDIT = 2**40


class OutboundStream:
    """This side sends."""

    __slots__ = ("offset", "stopped", "window")

    def __init__(self, credit: int) -> None:
        self.offset = 0
        self.window = SendWindow(credit)
        self.stopped = False

    def __repr__(self) -> str:
        return f"OutboundStream(offset={self.offset}, credit={self.window.credit}, stopped={self.stopped})"


class InboundStream:
    """This side receives."""

    __slots__ = ("offset", "stopped", "window")

    def __init__(self, window: int) -> None:
        self.offset = 0
        self.window = ReceiveWindow(window)
        self.stopped = False

    def __repr__(self) -> str:
        return f"InboundStream(offset={self.offset}, credit={self.window.credit}, stopped={self.stopped})"


class StreamTable:
    """All streams of a connection. `encode` turns a message into bytes."""

    def __init__(self, role: str, encode: Callable[[list[Any]], bytes], limits: Limits) -> None:
        self.sending: dict[int, OutboundStream] = {}
        self.receiving: dict[int, InboundStream] = {}
        self.dropped = 0  # frames of ended or stopped streams
        self.peer_frame_bytes = FRAME_BYTES  # the largest frame to send
        self._limits = limits  # what this side receives
        self._encode = encode
        self._next = 2 if role == HOST else 1
        self._parity = self._next % 2
        # Two of each, because the ids of the two sides rise apart: the index is the id's parity.
        self._ended: tuple[set[int], set[int]] = (set(), set())
        self._floors = [0, 0]  # ids below that are not open have ended
        self._stopped_early: dict[int, None] = {}  # the oldest first

    # Opening: at the caller before the request is sent, at the callee before it is answered.

    def reserve(self) -> int:
        """The next id of this side."""
        stream, self._next = self._next, self._next + 2
        return stream

    def open_send(self, stream: int, credit: int = 0) -> OutboundStream:
        """This side will send on `stream`. Credit is the window the peer named, 0 until it has."""
        self._check_new(stream)
        outbound = self.sending[stream] = OutboundStream(credit)
        if stream in self._stopped_early:
            del self._stopped_early[stream]
            outbound.stopped = True
        return outbound

    def open_receive(self, stream: int, window: int) -> InboundStream:
        """This side will receive on `stream` and takes `window` bytes ahead of its reader."""
        limit = self._limits.window_bytes
        if window > limit:
            raise LocalProtocolError(f"a window of {window} bytes is over this side's limit of {limit}")
        self._check_new(stream)
        inbound = self.receiving[stream] = InboundStream(window)
        return inbound

    def forget(self, stream: int) -> None:
        """The request that named `stream` did not open it: what still comes for it is dropped."""
        if stream % 2 == self._parity and stream >= self._next:
            return  # the peer named an id that this side has still to give out
        self.sending.pop(stream, None)
        self.receiving.pop(stream, None)
        self._stopped_early.pop(stream, None)
        self._remember_end(stream)

    def _check_new(self, stream: int) -> None:
        if stream in self.sending or stream in self.receiving or self._has_ended(stream):
            raise LocalProtocolError(f"stream {stream} is or was open; ids are never used again")
        if stream % 2 == self._parity and stream >= self._next:
            raise LocalProtocolError(f"stream {stream} was never reserved by this side")

    # Sending.

    def send_data(self, stream: int, payload: bytes | memoryview) -> tuple[bytes, bytes | memoryview]:
        """One frame as header and payload, to be written one after the other.

        Raises LocalProtocolError beyond credit, beyond the frame size, on a stopped or ended stream.
        """
        outbound = self._outbound(stream)
        size = len(payload)
        if not 0 < size <= self.peer_frame_bytes:
            raise LocalProtocolError(f"a frame carries 1 to {self.peer_frame_bytes} bytes, not {size}")
        if outbound.stopped:
            raise LocalProtocolError(f"the peer has stopped stream {stream}")
        outbound.window.spend(size)
        header = data_header(stream, outbound.offset, size)
        outbound.offset += size
        return header, payload

    def send_gap(self, stream: int, size: int) -> bytes:
        """Says that `size` bytes are left out here."""
        outbound = self._outbound(stream)
        if size < 1:
            raise LocalProtocolError(f"a gap of {size} bytes")
        if outbound.stopped:
            raise LocalProtocolError(f"the peer has stopped stream {stream}")
        offset, outbound.offset = outbound.offset, outbound.offset + size
        return self._notify("stream.gap", [stream, offset, size])

    def send_end(self, stream: int, error: Any = None) -> bytes:
        """The last frame of `stream`."""
        outbound = self._outbound(stream)
        data = self._notify("stream.end", [stream, outbound.offset, error])
        del self.sending[stream]
        self._remember_end(stream)
        return data

    def send_stop(self, stream: int, code: Any = None) -> bytes:
        """Gives `stream` up; its end will still come. Also for a named id that was perhaps never opened."""
        inbound = self.receiving.get(stream)
        if inbound is not None:
            inbound.stopped = True
        return self._notify("stream.stop", [stream, code])

    def consume(self, stream: int, size: int) -> bytes:
        """The reader took `size` bytes: the grant to send, or b"" while it is not due."""
        inbound = self.receiving.get(stream)
        if inbound is None or inbound.stopped:
            return b""
        grant = inbound.window.consume(size)
        return self._notify("stream.credit", [stream, grant]) if grant else b""

    def _outbound(self, stream: int) -> OutboundStream:
        outbound = self.sending.get(stream)
        if outbound is None:
            raise LocalProtocolError(f"stream {stream} is not open for sending")
        return outbound

    def _notify(self, method: str, params: list[Any]) -> bytes:
        return self._encode([NOTIFICATION, method, params])

    # Receiving: every method raises RemoteProtocolError for what the peer may not send.

    def receive_data(self, stream: int, offset: int, data: bytes) -> Event | None:
        inbound = self.receiving.get(stream)
        if type(data) is not bytes or not data:
            raise RemoteProtocolError(f"a frame of stream {stream!r} carries no bytes")
        if inbound is None:
            self._drop(stream)
            return None
        limit = self._limits.frame_bytes
        if len(data) > limit:
            raise RemoteProtocolError(f"a frame of {len(data)} bytes is over the limit of {limit}")
        if offset != inbound.offset:
            raise RemoteProtocolError(
                f"stream {stream} is at {inbound.offset}, its frame at {excerpt(offset)}"
            )
        inbound.window.receive(len(data))
        inbound.offset += len(data)
        if inbound.stopped:
            self.dropped += 1
            return None
        return DataReceived(stream, offset, data)

    def receive_gap(self, stream: int, offset: int, size: int) -> Event | None:
        inbound = self.receiving.get(stream)
        if inbound is None:
            self._drop(stream)
            return None
        if type(size) is not int or size < 1 or offset != inbound.offset:
            raise RemoteProtocolError(
                f"stream {stream} is at {inbound.offset}, a gap of {excerpt(size)} at {excerpt(offset)}"
            )
        inbound.offset += size
        if inbound.stopped:
            self.dropped += 1
            return None
        return GapReceived(stream, offset, size)

    def receive_end(self, stream: int, total: int, error: Any = None) -> Event | None:
        inbound = self.receiving.get(stream)
        if inbound is None:
            if total == 0 and error is not None and stream % 2 != self._parity:
                # Given up by the peer, that named it, perhaps before its request was acted on here.
                self._check_id(stream)
                self._remember_end(stream)
            self._drop(stream)
            return None
        if total != inbound.offset:
            raise RemoteProtocolError(
                f"stream {stream} ended at {excerpt(total)} by the peer's count; {inbound.offset} arrived"
            )
        del self.receiving[stream]
        self._remember_end(stream)
        return EndReceived(stream, total, error)

    def receive_credit(self, stream: int, size: int) -> Event | None:
        if type(size) is not int or size < 1:
            raise RemoteProtocolError(f"a grant of {excerpt(size)} bytes for stream {stream!r}")
        outbound = self.sending.get(stream)
        if outbound is None:
            self._drop(stream)
            return None
        outbound.window.add(size)
        if outbound.window.credit > _MAX_CREDIT:
            raise RemoteProtocolError(f"the credit of stream {stream} grew to {outbound.window.credit}")
        return CreditReceived(stream, size)

    def receive_stop(self, stream: int, code: Any = None) -> Event | None:
        outbound = self.sending.get(stream)
        if outbound is not None:
            outbound.stopped = True
            return StopReceived(stream, code)
        if not self._has_ended(stream):
            # Its request may still be on the way: it will be opened as stopped, or never.
            self._check_id(stream)
            self._stopped_early[stream] = None
            if len(self._stopped_early) > _REMEMBERED:
                del self._stopped_early[next(iter(self._stopped_early))]
        return None

    # Telling "has ended" from "was never opened".

    def _drop(self, stream: int) -> None:
        if not self._has_ended(stream):
            self._check_id(stream)
            raise RemoteProtocolError(f"a frame for stream {stream}, which was never opened")
        self.dropped += 1

    def _check_id(self, stream: Any) -> None:
        if type(stream) is not int or stream < 1:
            raise RemoteProtocolError(f"{stream!r} is no stream id")

    def _has_ended(self, stream: int) -> bool:
        side = stream % 2
        if stream in self._ended[side]:
            return True
        if not 0 < stream < self._floors[side]:
            return False
        return stream not in self.sending and stream not in self.receiving

    def _remember_end(self, stream: int) -> None:
        side = stream % 2
        ended = self._ended[side]
        if stream >= self._floors[side]:
            ended.add(stream)
        if len(ended) > _REMEMBERED:
            oldest = sorted(ended)[: _REMEMBERED // 2]
            ended.difference_update(oldest)
            self._floors[side] = oldest[-1] + 1

    def __repr__(self) -> str:
        return f"StreamTable(sending={self.sending}, receiving={self.receiving}, dropped={self.dropped})"
