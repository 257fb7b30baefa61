"""Two connections with bytes under way between them, and a model of what every stream should hold.

`Wires` does the same thing to a real stream and to its `Model`, and every event that arrives is held
against the model. Bytes travel only when `deliver` says so, any number of them at a time, so grants,
stops and ends cross each other as they would on a slow wire.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from plugin_host_sdk.connection import HOST, PLUGIN, Connection
from plugin_host_sdk.errors import LocalProtocolError
from plugin_host_sdk.events import (
    CreditReceived,
    DataReceived,
    EndReceived,
    Event,
    GapReceived,
    StopReceived,
)
from plugin_host_sdk.handshake import Limits
from plugin_host_sdk.protocol import PEER_OF
from tests.pair import ConnectionPair

LIMITS = Limits(frame_bytes=1024, window_bytes=4096)


def content(start: int, size: int) -> bytes:
    """What a stream holds there, so that a byte in the wrong place shows."""
    return bytes((at * 7 + at // 251) % 256 for at in range(start, start + size))


@dataclass
class Model:
    """What both ends of one stream should hold."""

    stream: int
    sender: str
    window: int
    sent: int = 0  # offset of the sender
    credit: int = 0
    arrived: int = 0  # offset of the receiver
    unread: int = 0  # bytes that arrived and were not consumed
    unacknowledged: int = 0  # consumed and not yet granted
    in_flight_grants: int = 0
    missing: list[range] = field(default_factory=list)
    sender_knows_stop: bool = False
    receiver_stopped: bool = False
    end_sent: bool = False
    end_seen: bool = False


class Wires:
    """Two connections, the bytes under way between them, and a model of every stream."""

    def __init__(self) -> None:
        self.pair = ConnectionPair(host_limits=LIMITS, plugin_limits=LIMITS).initialize()
        self.under_way = {HOST: bytearray(), PLUGIN: bytearray()}
        self.models: dict[int, Model] = {}

    def open(self, sender: str, window: int) -> None:
        """A new stream from `sender`."""
        stream = self.pair.open_stream(sender, window)
        self.models[stream] = Model(stream, sender, window, credit=window)

    def end_of(self, role: str) -> Connection:
        return self.pair.end(role)

    def push(self, role: str, *parts: bytes | memoryview) -> None:
        for part in parts:
            self.under_way[role] += part

    def send(self, model: Model, size: int) -> None:
        streams = self.end_of(model.sender).streams
        allowed = not model.end_sent and not model.sender_knows_stop and 0 < size <= model.credit
        try:
            frame = streams.send_data(model.stream, content(model.sent, size))
        except LocalProtocolError:
            assert not allowed
            return
        assert allowed
        model.sent += size
        model.credit -= size
        self.push(model.sender, *frame)

    def gap(self, model: Model, size: int) -> None:
        if not model.end_sent and not model.sender_knows_stop:
            self.push(model.sender, self.end_of(model.sender).streams.send_gap(model.stream, size))
            model.missing.append(range(model.sent, model.sent + size))
            model.sent += size

    def end(self, model: Model) -> None:
        if not model.end_sent:
            self.push(model.sender, self.end_of(model.sender).streams.send_end(model.stream))
            model.end_sent = True

    def stop(self, model: Model) -> None:
        receiver = PEER_OF[model.sender]
        if not model.end_seen:
            self.push(receiver, self.end_of(receiver).streams.send_stop(model.stream, 1))
            model.receiver_stopped = True

    def consume(self, model: Model, size: int) -> None:
        receiver = PEER_OF[model.sender]
        size = min(size, model.unread)
        grant = self.end_of(receiver).streams.consume(model.stream, size)
        model.unread -= size
        if model.end_seen or model.receiver_stopped:
            assert grant == b""
            return
        model.unacknowledged += size
        assert (grant != b"") == (model.unacknowledged * 2 >= model.window)
        if grant:
            model.in_flight_grants += model.unacknowledged
            model.unacknowledged = 0
            self.push(receiver, grant)

    def deliver(self, sender: str, size: int) -> None:
        data, self.under_way[sender] = self.under_way[sender][:size], self.under_way[sender][size:]
        if data:
            for event in self.end_of(PEER_OF[sender]).receive_data(data):
                self.check(PEER_OF[sender], event)

    def check(self, receiver: str, event: Event) -> None:
        """Hold what happened at one end against the model."""
        model = self.models[event.stream]  # type: ignore[attr-defined]
        if isinstance(event, (DataReceived, GapReceived)):
            assert not model.receiver_stopped
            assert event.offset == model.arrived
            size = len(event.data) if isinstance(event, DataReceived) else event.size
            model.arrived += size
            if isinstance(event, DataReceived):
                assert event.data == content(event.offset, size)
                model.unread += size
            else:
                assert range(event.offset, event.offset + size) == model.missing.pop(0)
        elif isinstance(event, EndReceived):
            assert model.end_sent
            assert event.total == model.sent
            assert model.receiver_stopped or model.arrived == model.sent
            model.end_seen = True
        elif isinstance(event, CreditReceived):
            model.credit += event.size
            model.in_flight_grants -= event.size
        else:
            assert isinstance(event, StopReceived), event
            model.sender_knows_stop = True

    def check_all(self) -> None:
        """Hold every stream of both ends against its model."""
        for model in self.models.values():
            assert model.credit >= 0
            waiting = model.unread + model.unacknowledged + model.credit + model.in_flight_grants
            assert waiting <= model.window
            outbound = self.end_of(model.sender).streams.sending.get(model.stream)
            assert (outbound is None) == model.end_sent
            if outbound is not None:
                assert (outbound.window.credit, outbound.offset) == (model.credit, model.sent)

    def settle(self) -> None:
        """Everything arrives, is read and ends."""
        for model in self.models.values():
            self.end(model)
        while any(self.under_way.values()):
            for role in (HOST, PLUGIN):
                self.deliver(role, 1 << 30)
            for model in self.models.values():
                self.consume(model, 1 << 30)
        for model in self.models.values():
            assert model.end_seen
            assert model.receiver_stopped or (model.arrived == model.sent and not model.missing)
        for role in (HOST, PLUGIN):
            streams = self.end_of(role).streams
            assert not streams.sending
            assert not streams.receiving
