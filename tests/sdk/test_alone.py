"""The short way of a message that comes alone leads where the long way leads, or has left no trace."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.alone import NO_ANSWER, take_answer, take_request
from plugin_host_sdk.connection import Connection
from plugin_host_sdk.events import ErrorReceived, Event, RequestReceived, ResponseReceived
from plugin_host_sdk.handshake import Limits
from plugin_host_sdk.protocol import MAX_MSGID
from tests.pair import ConnectionPair

_CALL = "command.call"


def ready(limits: Limits | None = None) -> ConnectionPair:
    """A pair in which one call was made and answered, and one is open."""
    pair = ConnectionPair(host_limits=limits, plugin_limits=limits).initialize()
    msgid, data = pair.host.send_request(_CALL, {"name": "a"})
    pair.to_plugin(data)
    pair.to_host(pair.plugin.send_response(msgid, "first"))
    return pair


def state(connection: Connection) -> tuple[Any, ...]:
    decoder = connection.decoder
    return (
        connection.state,
        dict(connection.pending),
        dict(connection.incoming),
        set(connection.abandoned),
        decoder.pending,
        decoder.alone,
        str(decoder.error),
    )


def request(*params: Any, msgid: Any = 7, method: Any = _CALL, kind: Any = 0) -> bytes:
    data: bytes = msgpack.packb([kind, msgid, method, list(params)])
    return data


def test_request_that_comes_alone_is_taken() -> None:
    pair = ready()
    meta = {"timeout_ms": 5}
    assert take_request(pair.plugin, request({"name": "b"})) == RequestReceived(7, _CALL, {"name": "b"})
    assert take_request(pair.plugin, memoryview(request({}, meta, msgid=8))) == RequestReceived(
        8, _CALL, {}, meta
    )
    assert dict(pair.plugin.incoming) == {7: _CALL, 8: _CALL}
    pair.plugin.send_response(7, None)
    assert dict(pair.plugin.incoming) == {8: _CALL}


def test_answer_that_comes_alone_is_taken() -> None:
    pair = ready()
    msgid, data = pair.host.send_request(_CALL, {"name": "b"})
    pair.to_plugin(data)
    assert take_answer(pair.host, pair.plugin.send_response(msgid, {"x": [1]}), msgid) == {"x": [1]}
    assert not pair.host.pending


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request({})[:-1],
        request({}) + b"\xc0",
        request({}) + request({}, msgid=9),
        request({}, method="command.list"),
        request({}, method=["command.call"]),
        request({}, kind=3),
        request({}, kind=b"\0"),
        request({}, msgid=-1),
        request({}, msgid=MAX_MSGID + 1),
        request({}, msgid=1.0),
        request({}, msgid=True),
        request(),
        request([]),
        request({}, []),
        msgpack.packb([0, 7, _CALL, {0: {}}]),
        msgpack.packb([0, 7, _CALL, None]),
        msgpack.packb({0: 1, 7: 1, _CALL: 1, b"": 1}),
        b"\x94\x00\x07\xdb\xff\xff\xff\xff",
        b"\xc1",
        b"\x91" * 5000,
    ],
)
def test_what_is_not_taken_leaves_no_trace_and_goes_the_long_way(data: bytes) -> None:
    one, other = ready(), ready()
    before = state(one.plugin)
    assert take_request(one.plugin, data) is None
    assert take_answer(one.host, data, 1) is NO_ANSWER
    assert state(one.plugin) == before
    assert _told(one.plugin.receive_data(data)) == _told(other.plugin.receive_data(data))
    assert state(one.plugin) == state(other.plugin)


def _told(events: list[Event]) -> list[str]:
    return [repr(event) for event in events]


def test_error_is_no_result() -> None:
    pair = ready()
    msgid, data = pair.host.send_request(_CALL, {})
    pair.to_plugin(data)
    error = pair.plugin.send_error(msgid, {"code": 1, "message": "no"})
    assert take_answer(pair.host, error, msgid) is NO_ANSWER
    assert isinstance(pair.host.receive_data(error)[0], ErrorReceived)


def test_answer_to_another_request_is_not_taken() -> None:
    pair = ready()
    (first, one), (second, two) = pair.host.send_request(_CALL, {}), pair.host.send_request(_CALL, {})
    pair.to_plugin(one + two)
    data = pair.plugin.send_response(first, 1)
    assert take_answer(pair.host, data, second) is NO_ANSWER
    assert pair.host.receive_data(data) == [ResponseReceived(first, 1)]


def test_nothing_is_taken_in_the_middle_of_a_message() -> None:
    pair = ready()
    whole = request({"text": "x" * 50})
    assert pair.plugin.receive_data(whole[:20]) == []
    assert take_request(pair.plugin, request({}, msgid=9)) is None
    assert pair.plugin.receive_data(whole[20:]) == [RequestReceived(7, _CALL, {"text": "x" * 50})]
    assert take_request(pair.plugin, request({}, msgid=9)) is not None


def test_nothing_is_taken_after_the_end() -> None:
    pair = ready()
    msgid, data = pair.host.send_request(_CALL, {})
    pair.to_plugin(data)
    answer = pair.plugin.send_response(msgid, 1)
    pair.host.receive_data(b"")
    assert take_answer(pair.host, answer, msgid) is NO_ANSWER
    pair.plugin.receive_data(b"\xc1")
    assert take_request(pair.plugin, request({})) is None


def test_nothing_larger_than_the_limit_is_taken() -> None:
    pair = ready(Limits(message_bytes=1024, window_bytes=4096, frame_bytes=1024))
    assert take_request(pair.plugin, request({"text": "x" * 1100})) is None
    assert take_request(pair.plugin, request({"text": "x" * 100})) is not None


def test_request_that_is_open_is_not_taken_again() -> None:
    pair = ready()
    assert take_request(pair.plugin, request({})) is not None
    assert take_request(pair.plugin, request({})) is None


def test_nothing_is_taken_of_a_plugin_that_is_stopping() -> None:
    pair = ready()
    _, data = pair.host.send_request("shutdown", {})
    pair.to_plugin(data)
    assert take_request(pair.plugin, request({})) is None


def test_nothing_is_taken_from_a_raw_peer() -> None:
    connection = Connection("host", raw=True)
    msgid, _ = connection.send_request("work", [])
    answer = msgpack.packb([1, msgid, None, 1])
    assert take_answer(connection, answer, msgid) is NO_ANSWER
    assert connection.receive_data(answer) == [ResponseReceived(msgid, 1)]


_PARTS = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 300) | st.binary(max_size=3) | st.sampled_from([_CALL, ""]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(st.lists(_PARTS, min_size=3, max_size=5) | _PARTS, st.integers(0, 3))
def test_both_ways_lead_to_the_same(message: Any, cut: int) -> None:
    data: bytes = msgpack.packb(message)
    data = data[: len(data) - cut]
    short, long = ready(), ready()
    event = take_request(short.plugin, data)
    events = [event] if event is not None else short.plugin.receive_data(data)
    assert _told(events) == _told(long.plugin.receive_data(data))  # type: ignore[arg-type]
    assert state(short.plugin) == state(long.plugin)
    for pair in (short, long):
        pair.host.send_request(_CALL, {})
    (msgid,) = short.host.pending
    result = take_answer(short.host, data, msgid)
    if result is NO_ANSWER:
        assert _told(short.host.receive_data(data)) == _told(long.host.receive_data(data))
    else:
        assert long.host.receive_data(data) == [ResponseReceived(msgid, result)]
    assert state(short.host) == state(long.host)
