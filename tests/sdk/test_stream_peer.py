"""A peer that breaks the rules of streams ends the connection; one that is merely late does not."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from plugin_host_sdk.connection import HOST, Connection
from plugin_host_sdk.events import DataReceived, Failed
from plugin_host_sdk.handshake import Limits
from plugin_host_sdk.protocol import FAILED, PLUGIN
from tests.pair import ConnectionPair, only

RECEIVING, SENDING, ENDED, UNKNOWN = 1, 2, 3, 99
"""The streams of `host`, by what has become of them."""


def frame(verb: str, *params: Any) -> bytes:
    packed: bytes = msgpack.packb([2, f"stream.{verb}", list(params)])
    return packed


@pytest.fixture
def host() -> Connection:
    """A host that receives stream 1, sends on stream 2, and saw the end of stream 3."""
    connection = ConnectionPair().initialize().host
    streams = connection.streams
    streams.open_receive(RECEIVING, 1000)
    streams.open_send(streams.reserve(), 1000)
    streams.open_receive(ENDED, 1000)
    connection.receive_data(frame("end", ENDED, 0))
    return connection


def failure(connection: Connection, data: bytes) -> str:
    """The text of the failure that these bytes are."""
    event = only(connection.receive_data(data), Failed)
    assert connection.state == FAILED
    return str(event.error)


@pytest.mark.parametrize("offset", [1, -1, 2**63, 0.5, None, "0", [0]])
def test_bytes_at_the_wrong_offset(host: Connection, offset: Any) -> None:
    assert "stream 1 is at 0, its frame at " in failure(host, frame("data", RECEIVING, offset, b"x"))


def test_bytes_sent_twice(host: Connection) -> None:
    data = frame("data", RECEIVING, 0, b"xyz")
    assert host.receive_data(data) == [DataReceived(RECEIVING, 0, b"xyz")]
    assert failure(host, data) == "stream 1 is at 3, its frame at 0"


def test_bytes_beyond_the_credit(host: Connection) -> None:
    host.receive_data(frame("data", RECEIVING, 0, bytes(600)))
    text = failure(host, frame("data", RECEIVING, 600, bytes(401)))
    assert text == "the peer sent 401 bytes with credit for 400"


def test_bytes_beyond_the_credit_of_a_stopped_stream(host: Connection) -> None:
    host.streams.send_stop(RECEIVING)
    assert host.receive_data(frame("data", RECEIVING, 0, bytes(1000))) == []
    assert "with credit for 0" in failure(host, frame("data", RECEIVING, 1000, b"x"))


def test_frame_larger_than_this_side_takes() -> None:
    connection = ConnectionPair(host_limits=Limits(frame_bytes=2000)).initialize().host
    connection.streams.open_receive(1, 10_000)
    connection.receive_data(frame("data", 1, 0, bytes(2000)))
    assert failure(connection, frame("data", 1, 2000, bytes(2001))) == (
        "a frame of 2001 bytes is over the limit of 2000"
    )


@pytest.mark.parametrize("payload", [b"", "text", None, 5, [b"x"], {}], ids=repr)
def test_frame_that_carries_no_bytes(host: Connection, payload: Any) -> None:
    assert failure(host, frame("data", RECEIVING, 0, payload)) == "a frame of stream 1 carries no bytes"


@pytest.mark.parametrize("size", [0, -1, None, 1.5, "1", [], True])
def test_gap_of_no_size(host: Connection, size: Any) -> None:
    assert "stream 1 is at 0, a gap of " in failure(host, frame("gap", RECEIVING, 0, size))


@pytest.mark.parametrize("offset", [1, -1, None, "0"])
def test_gap_at_the_wrong_offset(host: Connection, offset: Any) -> None:
    assert "a gap of 5 at " in failure(host, frame("gap", RECEIVING, offset, 5))


@pytest.mark.parametrize("total", [0, 2, 4, -3, None, "3", [3], 2**64 - 1])
def test_end_with_another_total(host: Connection, total: Any) -> None:
    host.receive_data(frame("data", RECEIVING, 0, b"xyz"))
    text = failure(host, frame("end", RECEIVING, total))
    assert text == f"stream 1 ended at {total!r} by the peer's count; 3 arrived"


@pytest.mark.parametrize("size", [0, -1, None, 1.5, "1", [], True])
def test_grant_of_no_size(host: Connection, size: Any) -> None:
    assert "a grant of " in failure(host, frame("credit", SENDING, size))


def test_grants_without_end(host: Connection) -> None:
    for _ in range(4):
        assert len(host.receive_data(frame("credit", SENDING, 2**38 - 250))) == 1
    assert "the credit of stream 2 grew to " in failure(host, frame("credit", SENDING, 2**38))


@pytest.mark.parametrize(
    "data",
    [
        frame("data", UNKNOWN, 0, b"x"),
        frame("gap", UNKNOWN, 0, 1),
        frame("end", UNKNOWN, 0),
        frame("end", UNKNOWN, 1, {}),
        frame("end", UNKNOWN + 1, 0, {}),
        frame("credit", UNKNOWN, 1),
        frame("data", SENDING, 0, b"x"),
        frame("gap", SENDING, 0, 1),
        frame("end", SENDING, 0),
        frame("credit", RECEIVING, 1),
    ],
    ids=lambda data: repr(data[2:]),
)
def test_frame_for_a_stream_that_was_never_opened_that_way(host: Connection, data: bytes) -> None:
    assert "which was never opened" in failure(host, data)


@pytest.mark.parametrize("verb", ["data", "gap", "end", "credit", "stop"])
@pytest.mark.parametrize("stream", [0, -1, -(2**63)])
def test_id_that_is_none(host: Connection, verb: str, stream: int) -> None:
    rest: dict[str, list[Any]] = {"data": [0, b"x"], "gap": [0, 1], "end": [0], "credit": [1], "stop": []}
    assert failure(host, frame(verb, stream, *rest[verb])) == f"{stream} is no stream id"


@pytest.mark.parametrize(
    "data",
    [
        frame("data"),
        frame("data", RECEIVING),
        frame("data", RECEIVING, 0),
        frame("data", RECEIVING, 0, b"x", None),
        frame("data", "1", 0, b"x"),
        frame("data", None, 0, b"x"),
        frame("data", True, 0, b"x"),
        frame("data", 1.0, 0, b"x"),
        frame("data", [1], 0, b"x"),
        frame("gap", RECEIVING, 0),
        frame("gap", RECEIVING, 0, 1, 1),
        frame("end", RECEIVING),
        frame("end", RECEIVING, 0, None, None),
        frame("credit", SENDING),
        frame("credit", SENDING, 1, 1),
        frame("stop"),
        frame("stop", SENDING, 1, 1),
        frame("stop", "2"),
        frame("unheard_of", RECEIVING),
        frame("", RECEIVING),
        frame("open", UNKNOWN, 1000),
    ],
    ids=lambda data: repr(data[2:]),
)
def test_frame_of_the_wrong_shape(host: Connection, data: bytes) -> None:
    assert "has not the shape of a frame" in failure(host, data)


@pytest.mark.parametrize("verb", ["data", "gap", "end", "credit", "stop"])
def test_frame_sent_as_a_request(host: Connection, verb: str) -> None:
    request = msgpack.packb([0, 1, f"stream.{verb}", [RECEIVING, 0, b"x"]])
    assert "wrong kind of message" in failure(host, request)


@pytest.mark.parametrize(
    "data",
    [
        frame("data", ENDED, 0, b"x"),
        frame("data", ENDED, 77, b"x"),
        frame("gap", ENDED, 0, 1),
        frame("end", ENDED, 0),
        frame("end", ENDED, 5, {"name": "late"}),
        frame("credit", ENDED, 1),
    ],
    ids=lambda data: repr(data[2:]),
)
def test_frame_for_an_ended_stream_is_counted_and_dropped(host: Connection, data: bytes) -> None:
    assert host.receive_data(data) == []
    assert host.receive_data(data) == []
    assert host.streams.dropped == 2
    assert host.streams.receiving.keys() == {RECEIVING}


def test_stop_for_an_ended_stream_does_nothing(host: Connection) -> None:
    host.streams.send_end(SENDING)
    assert host.receive_data(frame("stop", SENDING, 1)) == []
    assert host.receive_data(frame("stop", ENDED, 1)) == []


def test_stop_may_come_twice(host: Connection) -> None:
    assert len(host.receive_data(frame("stop", SENDING) * 2)) == 2
    assert host.streams.sending[SENDING].stopped


def test_failure_of_one_stream_comes_after_what_was_good() -> None:
    connection = ConnectionPair().initialize().end(PLUGIN)
    connection.streams.open_receive(2, 1000)
    data = frame("data", 2, 0, b"good") + frame("data", 2, 5, b"bad") + frame("data", 2, 4, b"never seen")
    events = connection.receive_data(data)
    assert events[0] == DataReceived(2, 0, b"good")
    assert [type(event) for event in events[1:]] == [Failed]


def test_role_decides_nothing_but_the_ids() -> None:
    assert HOST != PLUGIN
    for role, stream in ((HOST, 1), (PLUGIN, 2)):
        connection = ConnectionPair().initialize().end(role)
        connection.streams.open_receive(stream, 10)
        assert connection.receive_data(frame("data", stream, 0, b"x")) == [DataReceived(stream, 0, b"x")]
