"""What a connection promises whatever it is fed, as checks: `AssertionError` says which was broken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from plugin_host_sdk.connection import Connection
from plugin_host_sdk.events import Closed, Event, Failed, InitializeRefused
from plugin_host_sdk.protocol import CLOSED, ENDED, FAILED, FRAME_BYTES

LAST = (Failed, Closed, InitializeRefused)


def events_of(connection: Connection, parts: Iterable[bytes]) -> list[Event]:
    """Everything that happens, the end of file included; an empty read would be that end."""
    events = [event for part in parts if part for event in connection.receive_data(part)]
    return events + connection.receive_data(b"")


def shown(events: Sequence[Event]) -> list[str]:
    """Events to compare: by what they show, for NaN is not equal to itself."""
    return ["Failed" if type(event) is Failed else repr(event) for event in events]


def check_order(connection: Connection, events: Sequence[Event]) -> None:
    """Only the last event may be the last one, and the state says the same."""
    assert not any(isinstance(event, LAST) for event in events[:-1]), events
    if events and isinstance(events[-1], LAST):
        assert connection.state == (CLOSED if isinstance(events[-1], Closed) else FAILED), events
        assert connection.receive_data(b"\x93\x02\xa1x\x90") == []
        assert connection.receive_data(b"") == []


def check_end(connection: Connection, events: Sequence[Event]) -> None:
    """After an end of file everything is over."""
    assert events, "no event says that the connection ended"
    assert isinstance(events[-1], LAST), events
    assert connection.state in ENDED, connection.state
    check_order(connection, events)


def check_room(connection: Connection) -> None:
    """What is kept of a message that is not complete is bounded by its limit, and by one read."""
    pending = connection.decoder.pending
    assert connection.state in ENDED or 0 <= pending <= connection.limits.message_bytes + FRAME_BYTES, (
        pending
    )
