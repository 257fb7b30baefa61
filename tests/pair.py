"""Both ends of a wire that does not exist: what one connection says, the other hears.

A `ConnectionPair` drives the two roles against each other, so a test sees what each end makes of the
same bytes. With ``byte_at_a_time`` they arrive one by one, which must not make a difference. Nothing is
sent by itself: a test hands over what a ``send_*`` method returned, and gets the other end's events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from plugin_host_sdk.connection import HOST, PLUGIN, Connection
from plugin_host_sdk.events import Event, Initialized, RequestReceived
from plugin_host_sdk.handshake import Limits, initialize_params
from plugin_host_sdk.protocol import INITIALIZE_ID, PEER_OF

_E = TypeVar("_E", bound=Event)

ANSWER: dict[str, Any] = {
    "protocol": 1,
    "plugin": {"id": "demo", "version": "1.0.0"},
    "sdk": {"name": "test", "version": "0"},
    "capabilities": {},
}
"""The least that a plugin must say of itself."""


class ConnectionPair:
    """A host's and a plugin's connection; `initialize` brings both to READY."""

    def __init__(
        self,
        *,
        byte_at_a_time: bool = False,
        host_limits: Limits | None = None,
        plugin_limits: Limits | None = None,
    ) -> None:
        self.host = Connection(HOST, limits=host_limits)
        self.plugin = Connection(PLUGIN, limits=plugin_limits)
        self.byte_at_a_time = byte_at_a_time

    def end(self, role: str) -> Connection:
        """The connection of a role."""
        return self.host if role == HOST else self.plugin

    def to_plugin(self, data: bytes | Sequence[bytes | memoryview]) -> list[Event]:
        """Deliver what the host sent; a frame may be given as its header and payload."""
        return feed(self.plugin, data, byte_at_a_time=self.byte_at_a_time)

    def to_host(self, data: bytes | Sequence[bytes | memoryview]) -> list[Event]:
        """Deliver what the plugin sent."""
        return feed(self.host, data, byte_at_a_time=self.byte_at_a_time)

    def deliver(self, sender: str, data: bytes | Sequence[bytes | memoryview]) -> list[Event]:
        """Deliver what the end with the role `sender` sent."""
        return feed(self.end(PEER_OF[sender]), data, byte_at_a_time=self.byte_at_a_time)

    def initialize(self) -> ConnectionPair:
        """Bring both ends to READY, each knowing the other's limits."""
        params = initialize_params(plugin="demo", host={"name": "test"}, limits=self.host.limits)
        (asked,) = self.to_plugin(self.host.send_initialize(params))
        assert isinstance(asked, RequestReceived)
        answer = ANSWER | {"limits": self.plugin.limits.to_map()}
        (accepted,) = self.to_host(self.plugin.send_response(INITIALIZE_ID, answer))
        assert isinstance(accepted, Initialized)
        return self

    def open_stream(self, sender: str, window: int) -> int:
        """A stream from `sender` to the other end, as a request of the sender would open it."""
        stream = self.end(sender).streams.reserve()
        self.end(PEER_OF[sender]).streams.open_receive(stream, window)
        self.end(sender).streams.open_send(stream, window)
        return stream


def feed(
    connection: Connection, data: bytes | Sequence[bytes | memoryview], *, byte_at_a_time: bool = False
) -> list[Event]:
    """The events that `data` makes at `connection`, given whole or byte by byte."""
    events: list[Event] = []
    whole = data if isinstance(data, bytes) else b"".join(data)
    for part in single_bytes(whole) if byte_at_a_time else [whole] if whole else []:
        events += connection.receive_data(part)
    return events


def single_bytes(data: bytes) -> Iterator[bytes]:
    """Each byte by itself."""
    return (data[at : at + 1] for at in range(len(data)))


def only(events: Sequence[Event], kind: type[_E]) -> _E:
    """The one event there is, which is of this kind."""
    assert len(events) == 1, f"expected one {kind.__name__}: {events}"
    event = events[0]
    assert isinstance(event, kind), event
    return event
