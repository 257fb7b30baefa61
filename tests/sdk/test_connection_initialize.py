"""`initialize`: the first message, its answer between stray output, and what both sides learn by it."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from plugin_host_sdk.connection import HOST, PLUGIN, Connection
from plugin_host_sdk.errors import LocalProtocolError, MessageTooLarge
from plugin_host_sdk.events import (
    Closed,
    Event,
    Failed,
    Initialized,
    InitializeRefused,
    RequestReceived,
    RequestRefused,
    StrayOutput,
)
from plugin_host_sdk.handshake import Limits
from plugin_host_sdk.protocol import (
    CLOSED,
    FAILED,
    INITIALIZE_ID,
    INITIALIZING,
    OPENING,
    READY,
    STRAY_OUTPUT_BYTES,
)
from tests.pair import ANSWER, ConnectionPair, feed, only

MARK = b"\x94\x01\xceplug"
PACKED_ANSWER: bytes = msgpack.packb([1, INITIALIZE_ID, None, ANSWER])

by_the_byte = pytest.mark.parametrize("byte_at_a_time", [False, True], ids=["whole", "byte_at_a_time"])


def asking_host() -> Connection:
    """A host that waits for the answer to initialize."""
    host = Connection(HOST)
    host.send_initialize({})
    return host


def asked_plugin() -> Connection:
    """A plugin that has been asked to initialize."""
    plugin = Connection(PLUGIN)
    only(plugin.receive_data(Connection(HOST).send_initialize({})), RequestReceived)
    return plugin


def join_stray(events: list[Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, StrayOutput))


@by_the_byte
def test_both_ends_become_ready(byte_at_a_time: bool) -> None:
    pair = ConnectionPair(byte_at_a_time=byte_at_a_time)
    assert (pair.host.state, pair.plugin.state) == (OPENING, OPENING)
    sent = pair.host.send_initialize({"protocols": [1], "plugin": "demo"})
    assert pair.host.state == INITIALIZING
    expected = RequestReceived(INITIALIZE_ID, "initialize", {"protocols": [1], "plugin": "demo"})
    assert pair.to_plugin(sent) == [expected]
    assert pair.plugin.state == INITIALIZING
    answer = pair.plugin.send_response(INITIALIZE_ID, ANSWER)
    assert pair.plugin.state == READY
    assert pair.to_host(answer) == [Initialized(ANSWER)]
    assert pair.host.state == READY
    assert pair.host.pending == pair.plugin.incoming == {}


def test_answer_begins_with_the_mark_that_is_searched_for() -> None:
    assert PACKED_ANSWER.startswith(MARK)
    assert asked_plugin().send_response(INITIALIZE_ID, ANSWER).startswith(MARK)
    assert asked_plugin().send_error(INITIALIZE_ID, {}).startswith(MARK)


@by_the_byte
@pytest.mark.parametrize("limits_of", [HOST, PLUGIN])
def test_each_side_learns_what_the_other_receives(limits_of: str, byte_at_a_time: bool) -> None:
    limits = Limits(message_bytes=5000, window_bytes=3000, frame_bytes=2000)
    pair = ConnectionPair(byte_at_a_time=byte_at_a_time, **{f"{limits_of}_limits": limits}).initialize()
    sender = pair.end(PLUGIN if limits_of == HOST else HOST)
    assert repr(sender.peer_limits) == repr(limits)
    with pytest.raises(MessageTooLarge, match="5000"):
        sender.send_request("metadata.x", {"data": b"x" * 5000})
    stream = sender.streams.reserve()
    sender.streams.open_send(stream, 10_000)
    with pytest.raises(LocalProtocolError, match="1 to 2000 bytes"):
        sender.streams.send_data(stream, b"x" * 2001)


def test_limits_that_are_not_named_are_the_usual_ones() -> None:
    pair = ConnectionPair()
    pair.to_plugin(pair.host.send_initialize({"limits": {"message_bytes": 5000, "unheard_of": None}}))
    assert repr(pair.plugin.peer_limits) == repr(Limits(message_bytes=5000))
    pair.to_host(pair.plugin.send_response(INITIALIZE_ID, ANSWER))
    assert repr(pair.host.peer_limits) == repr(Limits())


@pytest.mark.parametrize("limits", [None, [], 5, {"frame_bytes": 0}, {"message_bytes": "1"}], ids=repr)
def test_limits_that_make_no_sense_end_the_connection(limits: Any) -> None:
    plugin = Connection(PLUGIN)
    only(plugin.receive_data(Connection(HOST).send_initialize({"limits": limits})), Failed)
    assert plugin.state == FAILED
    host = asking_host()
    answer = asked_plugin().send_response(INITIALIZE_ID, ANSWER | {"limits": limits})
    only(host.receive_data(answer), Failed)
    assert host.state == FAILED


def test_frames_fit_into_the_messages_that_the_peer_receives() -> None:
    limits = Limits(message_bytes=2000, frame_bytes=65536)
    pair = ConnectionPair(plugin_limits=limits).initialize()
    stream = pair.open_stream(HOST, 100_000)
    pair.host.streams.sending[stream].offset = 2**63  # the longest header
    pair.plugin.streams.receiving[stream].offset = 2**63
    with pytest.raises(LocalProtocolError, match="a frame carries 1 to"):
        pair.host.streams.send_data(stream, b"x" * 2000)
    events = pair.to_plugin(pair.host.streams.send_data(stream, b"x" * pair.host.streams.peer_frame_bytes))
    assert len(events) == 1
    assert not isinstance(events[0], Failed)
    assert pair.host.streams.peer_frame_bytes > 1900


@by_the_byte
@pytest.mark.parametrize(
    "stray",
    [
        b"hello\n",
        b"\x94",
        b"\x94\x01\xceplu",
        b"\x94\x01\x94\x01\xce\x94\x01\xceplu\x94\x01\xcepl",
        b"\xc1\xff\x00" * 500,
        msgpack.packb([2, "log", [{"message": "too early"}]]),
        msgpack.packb([1, INITIALIZE_ID + 1, None, ANSWER]),
        b"\n" * 60_000,
    ],
    ids=lambda stray: repr(stray[:20]),
)
def test_output_before_the_answer_is_set_apart(stray: bytes, byte_at_a_time: bool) -> None:
    host = asking_host()
    events = feed(host, stray + PACKED_ANSWER, byte_at_a_time=byte_at_a_time)
    assert events == [StrayOutput(stray), Initialized(ANSWER)]
    assert host.state == READY


def test_mark_may_be_split_anywhere() -> None:
    data = b"warning: \x94\x01\xce\n" + PACKED_ANSWER
    for at in range(len(data) + 1):
        host = asking_host()
        events = feed(host, data[:at]) + feed(host, data[at:])
        assert join_stray(events) == b"warning: \x94\x01\xce\n"
        assert events[-1] == Initialized(ANSWER)


def test_nothing_is_stray_behind_the_answer() -> None:
    host = asking_host()
    only(host.receive_data(PACKED_ANSWER), Initialized)
    only(host.receive_data(b"hello\n"), Failed)
    assert host.state == FAILED


@by_the_byte
def test_mark_may_end_with_the_last_byte_of_the_limit(byte_at_a_time: bool) -> None:
    stray = b"x" * (STRAY_OUTPUT_BYTES - len(MARK))
    events = feed(asking_host(), stray + PACKED_ANSWER, byte_at_a_time=byte_at_a_time)
    assert events == [StrayOutput(stray), Initialized(ANSWER)]


@by_the_byte
@pytest.mark.parametrize("more", [1, 6, 7, 1000])
def test_answer_behind_the_limit_is_not_found(more: int, byte_at_a_time: bool) -> None:
    host = asking_host()
    stray = b"x" * (STRAY_OUTPUT_BYTES - len(MARK) + more)
    events = feed(host, stray + PACKED_ANSWER, byte_at_a_time=byte_at_a_time)
    assert [type(event) for event in events] == [StrayOutput, Failed]
    assert join_stray(events) == (stray + PACKED_ANSWER)[:STRAY_OUTPUT_BYTES]
    assert "the answer to initialize is not among them" in str(events[1])
    assert host.state == FAILED


@by_the_byte
def test_output_without_an_answer_ends_at_the_limit(byte_at_a_time: bool) -> None:
    host = asking_host()
    assert feed(host, b"y" * (STRAY_OUTPUT_BYTES - 1), byte_at_a_time=byte_at_a_time) == []
    assert [type(event) for event in host.receive_data(b"z")] == [StrayOutput, Failed]
    assert host.receive_data(b"y") == []


def test_output_can_be_looked_at_while_the_answer_is_awaited() -> None:
    host = asking_host()
    assert host.stray_output == b""
    host.receive_data(b"starting")
    host.receive_data(b" up\n\x94\x01")
    assert host.stray_output == b"starting up\n\x94\x01"
    assert host.receive_data(PACKED_ANSWER) == [StrayOutput(b"starting up\n\x94\x01"), Initialized(ANSWER)]
    assert host.stray_output == b""


def test_output_before_an_end_of_file_is_reported() -> None:
    host = asking_host()
    host.receive_data(b"Traceback: no such module\n\x94\x01")
    assert host.receive_data(b"") == [StrayOutput(b"Traceback: no such module\n\x94\x01"), Closed()]
    assert host.state == CLOSED


def test_end_of_file_without_output_is_only_that() -> None:
    host = asking_host()
    assert host.receive_data(b"") == [Closed()]


@by_the_byte
def test_end_of_file_inside_the_answer_is_a_failure(byte_at_a_time: bool) -> None:
    host = asking_host()
    assert feed(host, b"x" + PACKED_ANSWER[:-1], byte_at_a_time=byte_at_a_time) == [StrayOutput(b"x")]
    assert "in the middle of a message" in str(only(host.receive_data(b""), Failed).error)


@by_the_byte
@pytest.mark.parametrize("error", [{"name": "initialize.no_common_protocol"}, "no", 0, [1]], ids=repr)
def test_refusal_is_the_last_event(error: Any, byte_at_a_time: bool) -> None:
    pair = ConnectionPair(byte_at_a_time=byte_at_a_time)
    pair.to_plugin(pair.host.send_initialize({}))
    refusal = pair.plugin.send_error(INITIALIZE_ID, error)
    assert pair.plugin.state == FAILED
    behind = msgpack.packb([2, "log", [{}]])
    assert pair.to_host(refusal + behind + b"\xc1") == [InitializeRefused(error)]
    assert pair.host.state == FAILED
    assert pair.host.receive_data(b"") == []


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": 2},
        {"protocol": "1"},
        {"protocol": None},
        {"plugin": None},
        {"plugin": {}},
        {"plugin": {"id": 5}},
        {"capabilities": []},
        {"sdk": "x"},
    ],
    ids=repr,
)
def test_answer_of_the_wrong_shape_ends_the_connection(change: dict[str, Any]) -> None:
    host = asking_host()
    answer = msgpack.packb([1, INITIALIZE_ID, None, ANSWER | change])
    only(host.receive_data(answer), Failed)
    assert host.state == FAILED


@pytest.mark.parametrize("result", [None, 1, "x", [], [1]], ids=repr)
def test_answer_that_is_no_map_ends_the_connection(result: Any) -> None:
    host = asking_host()
    error = only(host.receive_data(msgpack.packb([1, INITIALIZE_ID, None, result])), Failed).error
    assert "must be a map" in str(error)


@pytest.mark.parametrize("params", [["x"], [{}, 5], [None]], ids=repr)
def test_initialize_with_wrong_parameters_is_refused_and_the_host_told(params: Any) -> None:
    plugin, host = Connection(PLUGIN), asking_host()
    events = plugin.receive_data(msgpack.packb([0, INITIALIZE_ID, "initialize", params]))
    refused = only(events, RequestRefused)
    assert refused.error["name"] == "rpc.invalid_params"
    assert plugin.state == OPENING
    only(host.receive_data(plugin.send_error(refused.msgid, refused.error)), InitializeRefused)


def test_second_initialize_is_refused_on_both_sides() -> None:
    for pair in (ConnectionPair().initialize(), ConnectionPair()):
        first = pair.host.send_initialize({}) if pair.host.state == OPENING else b""
        pair.to_plugin(first)
        with pytest.raises(LocalProtocolError, match="initialize"):
            pair.host.send_initialize({})
        only(pair.to_plugin(msgpack.packb([0, 1, "initialize", [{}]])), Failed)


def test_plugin_cannot_ask_a_host_to_initialize() -> None:
    plugin, host = Connection(PLUGIN), Connection(HOST)
    with pytest.raises(LocalProtocolError, match="not for the plugin to send"):
        plugin.send_initialize({})
    only(host.receive_data(msgpack.packb([0, 1, "initialize", [{}]])), Failed)


@pytest.mark.parametrize("state", [OPENING, INITIALIZING])
def test_nothing_else_is_sent_before_ready(state: str) -> None:
    host, plugin = asking_host(), asked_plugin()
    if state == OPENING:
        host, plugin = Connection(HOST), Connection(PLUGIN)
    for end in (host, plugin):
        with pytest.raises(LocalProtocolError, match="ping cannot be sent"):
            end.send_request("ping", {})
        with pytest.raises(LocalProtocolError, match="demo cannot be sent"):
            end.send_notification("demo", {})
    text = str(only(plugin.receive_data(msgpack.packb([0, 1, "ping", [{}]])), Failed).error)
    assert text == f"ping cannot be sent by the host while the connection is {state}"


def test_host_that_gives_initialize_up_sends_nothing_the_plugin_may_not_hear() -> None:
    host = asking_host()
    assert host.send_cancel(INITIALIZE_ID) == b""
    assert host.receive_data(b"noise" + PACKED_ANSWER) == [StrayOutput(b"noise")]
    assert (host.state, host.late_answers) == (INITIALIZING, 1)


def test_initialize_that_cannot_be_encoded_leaves_the_host_as_it_was() -> None:
    host = Connection(HOST)
    with pytest.raises(LocalProtocolError, match="object"):
        host.send_initialize({"settings": object()})
    assert (host.state, host.pending) == (OPENING, {})
    host.send_initialize({})


def test_answer_that_cannot_be_encoded_can_be_replaced_by_an_error() -> None:
    plugin = asked_plugin()
    with pytest.raises(LocalProtocolError, match="object"):
        plugin.send_response(INITIALIZE_ID, {"capabilities": object()})
    assert plugin.state == INITIALIZING
    plugin.send_error(INITIALIZE_ID, {"name": "rpc.not_encodable"})
    assert plugin.state == FAILED
