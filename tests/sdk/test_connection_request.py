"""Requests and answers: every request is answered once, in any order, under ids that never clash."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from plugin_host_sdk.connection import HOST, PLUGIN, Connection
from plugin_host_sdk.errors import CallFailed, LocalProtocolError, MessageTooLarge, NotEncodable
from plugin_host_sdk.events import (
    ErrorReceived,
    Failed,
    NotificationReceived,
    PeerFailed,
    RequestReceived,
    RequestRefused,
    ResponseReceived,
)
from plugin_host_sdk.handshake import Limits
from plugin_host_sdk.protocol import MAX_MSGID, PEER_OF, PENDING_REQUESTS, READY, STOPPING
from tests.pair import ConnectionPair, only

CALLS = {HOST: "command.call", PLUGIN: "host.echo"}
"""A method that each role may call."""

each_caller = pytest.mark.parametrize("caller", [HOST, PLUGIN])


@pytest.fixture(params=[False, True], ids=["whole", "byte_at_a_time"])
def pair(request: pytest.FixtureRequest) -> ConnectionPair:
    """Two connections in READY."""
    return ConnectionPair(byte_at_a_time=request.param).initialize()


def pack(message: list[Any]) -> bytes:
    packed: bytes = msgpack.packb(message)
    return packed


@each_caller
def test_request_is_answered(pair: ConnectionPair, caller: str) -> None:
    callee = PEER_OF[caller]
    msgid, data = pair.end(caller).send_request(CALLS[caller], {"x": 1})
    assert pair.deliver(caller, data) == [RequestReceived(msgid, CALLS[caller], {"x": 1})]
    assert pair.end(caller).pending == pair.end(callee).incoming == {msgid: CALLS[caller]}
    answer = pair.end(callee).send_response(msgid, {"y": [2]})
    assert pair.deliver(callee, answer) == [ResponseReceived(msgid, {"y": [2]})]
    assert pair.end(caller).pending == pair.end(callee).incoming == {}


@each_caller
def test_request_is_answered_with_an_error(pair: ConnectionPair, caller: str) -> None:
    callee = PEER_OF[caller]
    error = CallFailed("no such thing", name="command.not_found", data={"near": []}).to_map()
    msgid, data = pair.end(caller).send_request(CALLS[caller], {})
    pair.deliver(caller, data)
    assert pair.deliver(callee, pair.end(callee).send_error(msgid, error)) == [ErrorReceived(msgid, error)]
    assert pair.end(caller).pending == pair.end(callee).incoming == {}


@pytest.mark.parametrize("result", [None, False, 0, "", [], {}, b"", [None, "error"]])
def test_result_may_be_of_any_type(pair: ConnectionPair, result: Any) -> None:
    msgid, data = pair.host.send_request("command.call", {})
    pair.to_plugin(data)
    assert pair.to_host(pair.plugin.send_response(msgid, result)) == [ResponseReceived(msgid, result)]


@pytest.mark.parametrize("error", [False, 0, "", [], {}, b"", "text"])
def test_error_of_any_shape_but_nil_is_an_error(pair: ConnectionPair, error: Any) -> None:
    msgid, data = pair.host.send_request("command.call", {})
    pair.to_plugin(data)
    assert pair.to_host(pair.plugin.send_error(msgid, error)) == [ErrorReceived(msgid, error)]


def test_answers_may_come_in_any_order(pair: ConnectionPair) -> None:
    requests = [pair.host.send_request("command.call", {"n": n}) for n in range(5)]
    pair.to_plugin(b"".join(data for _, data in requests))
    msgids = [msgid for msgid, _ in requests]
    answers = [pair.plugin.send_response(msgid, msgid) for msgid in reversed(msgids)]
    expected = [ResponseReceived(msgid, msgid) for msgid in reversed(msgids)]
    assert pair.to_host(b"".join(answers)) == expected


def test_both_sides_may_ask_under_the_same_id(pair: ConnectionPair) -> None:
    (to_plugin, asked), (to_host, asked_back) = (
        pair.host.send_request("command.call", {}),
        pair.plugin.send_request("host.echo", {}),
    )
    assert to_plugin == to_host == 0
    pair.to_plugin(asked)
    pair.to_host(asked_back)
    assert pair.to_plugin(pair.host.send_response(0, "to the plugin")) == [
        ResponseReceived(0, "to the plugin")
    ]
    assert pair.to_host(pair.plugin.send_response(0, "to the host")) == [ResponseReceived(0, "to the host")]


def test_call_metadata_travels_beside_the_arguments(pair: ConnectionPair) -> None:
    meta = {"timeout_ms": 500, "chain": ["a", "b"], "unheard_of": None}
    msgid, data = pair.host.send_request("command.call", {"x": 1}, meta)
    assert pair.to_plugin(data) == [RequestReceived(msgid, "command.call", {"x": 1}, meta)]


@pytest.mark.parametrize(
    ("params", "arguments", "meta"),
    [
        ([], {}, None),
        ([{}], {}, None),
        ([{"x": 1}, None], {"x": 1}, None),
        ([{}, {}], {}, {}),
        ([{}, {"timeout_ms": 1}, "more", 5], {}, {"timeout_ms": 1}),
        ([{1: 2, b"k": 3}], {1: 2, b"k": 3}, None),
    ],
)
def test_parameters_may_be_left_out_or_more(
    pair: ConnectionPair, params: list[Any], arguments: dict[Any, Any], meta: dict[str, Any] | None
) -> None:
    events = pair.to_plugin(pack([0, 5, "command.call", params]))
    assert events == [RequestReceived(5, "command.call", arguments, meta)]


@pytest.mark.parametrize("params", [[5], [None], [[]], ["x"], [{}, 5], [{}, []], [{}, "x"]])
def test_parameters_of_the_wrong_shape_are_refused_and_nothing_more(
    pair: ConnectionPair, params: list[Any]
) -> None:
    refused = only(pair.to_plugin(pack([0, 5, "command.call", params])), RequestRefused)
    assert (refused.msgid, refused.method) == (5, "command.call")
    assert refused.error["name"] == "rpc.invalid_params"
    pair.host.pending[5] = "command.call"
    assert pair.to_host(pair.plugin.send_error(5, refused.error)) == [ErrorReceived(5, refused.error)]
    assert pair.plugin.state == READY


@pytest.mark.parametrize("method", ["demo", "demo.unheard_of", "", "pings", "文" * 30])
def test_unknown_method_is_handed_up_to_be_answered(pair: ConnectionPair, method: str) -> None:
    msgid, data = pair.host.send_request(method, {})
    assert pair.to_plugin(data) == [RequestReceived(msgid, method, {})]


@pytest.mark.parametrize(
    ("sender", "method"),
    [
        (PLUGIN, "command.call"),
        (PLUGIN, "shutdown"),
        (PLUGIN, "reconfigure"),
        (HOST, "cancel"),
        (HOST, "stream.data"),
        (PLUGIN, "log"),
    ],
)
def test_request_that_is_not_for_its_sender_is_refused_on_both_sides(
    pair: ConnectionPair, sender: str, method: str
) -> None:
    with pytest.raises(LocalProtocolError, match=method):
        pair.end(sender).send_request(method, {})
    assert method in str(only(pair.deliver(sender, pack([0, 0, method, [{}]])), Failed).error)


def test_ping_is_a_request_like_any_other_in_both_directions(pair: ConnectionPair) -> None:
    for caller in (HOST, PLUGIN):
        msgid, data = pair.end(caller).send_request("ping", {"nonce": 7})
        asked = only(pair.deliver(caller, data), RequestReceived)
        answer = pair.end(PEER_OF[caller]).send_response(asked.msgid, asked.params)
        assert pair.deliver(PEER_OF[caller], answer) == [ResponseReceived(msgid, {"nonce": 7})]


def test_request_cannot_be_answered_twice(pair: ConnectionPair) -> None:
    msgid, data = pair.host.send_request("command.call", {})
    pair.to_plugin(data)
    pair.plugin.send_response(msgid, 1)
    for answer in (pair.plugin.send_response, pair.plugin.send_error):
        with pytest.raises(LocalProtocolError, match=f"request {msgid} is not open"):
            answer(msgid, {})


def test_second_answer_ends_the_connection(pair: ConnectionPair) -> None:
    msgid, data = pair.host.send_request("command.call", {})
    pair.to_plugin(data)
    answer = pair.plugin.send_response(msgid, 1)
    events = pair.to_host(answer + answer)
    assert events[0] == ResponseReceived(msgid, 1)
    assert "which is not open" in str(only(events[1:], Failed).error)


def test_request_under_an_open_id_ends_the_connection(pair: ConnectionPair) -> None:
    request = pack([0, 5, "command.call", [{}]])
    only(pair.to_plugin(request), RequestReceived)
    text = str(only(pair.to_plugin(request), Failed).error)
    assert text == "request 5 is still open and was sent again"


def test_id_may_be_used_again_once_it_was_answered(pair: ConnectionPair) -> None:
    request = pack([0, 5, "command.call", [{}]])
    for _ in range(3):
        only(pair.to_plugin(request), RequestReceived)
        pair.plugin.send_response(5, None)


# Ids.


def count_to(connection: Connection, msgid: int) -> None:
    """Have the connection give `msgid` to its next request."""
    connection._next_id = msgid  # 2**32 requests would take an hour


def test_id_is_32_bits_and_wraps_to_zero() -> None:
    pair = ConnectionPair().initialize()
    count_to(pair.host, MAX_MSGID - 1)
    for expected in (2**32 - 2, 2**32 - 1, 0, 1):
        msgid, data = pair.host.send_request("command.call", {})
        assert msgid == expected
        assert pair.to_plugin(data) == [RequestReceived(expected, "command.call", {})]
        assert pair.to_host(pair.plugin.send_response(msgid, 1)) == [ResponseReceived(expected, 1)]


def test_id_skips_those_that_are_pending_or_abandoned_also_when_it_wraps() -> None:
    pair = ConnectionPair().initialize()
    pending = [pair.host.send_request("command.call", {})[0] for _ in range(3)]
    pair.host.send_cancel(1)
    count_to(pair.host, MAX_MSGID)
    last, _ = pair.host.send_request("command.call", {})
    count_to(pair.host, MAX_MSGID)
    assert (pending, last) == ([0, 1, 2], MAX_MSGID)
    assert pair.host.send_request("command.call", {})[0] == 3


def test_id_of_a_late_answer_is_free_again() -> None:
    pair = ConnectionPair().initialize()
    msgid, data = pair.host.send_request("command.call", {})
    pair.to_plugin(data)
    pair.to_plugin(pair.host.send_cancel(msgid))
    count_to(pair.host, msgid)
    assert pair.host.send_request("command.call", {})[0] == msgid + 1
    pair.to_host(pair.plugin.send_response(msgid, "late"))
    count_to(pair.host, msgid)
    assert pair.host.send_request("command.call", {})[0] == msgid


def test_id_of_a_refused_request_is_used_by_the_next() -> None:
    pair = ConnectionPair().initialize()
    for params in ({"x": object()}, {"x": "y" * 20_000_000}):
        with pytest.raises(LocalProtocolError):
            pair.host.send_request("command.call", params)
    assert pair.host.send_request("command.call", {})[0] == 0
    assert pair.host.pending == {0: "command.call"}


# Limits.


def test_request_over_the_limit_fails_alone() -> None:
    pair = ConnectionPair(plugin_limits=Limits(message_bytes=2000)).initialize()
    with pytest.raises(MessageTooLarge, match="over the peer's limit of 2000"):
        pair.host.send_request("command.call", {"x": "y" * 2000})
    msgid, data = pair.host.send_request("command.call", {"x": "y" * 1900})
    only(pair.to_plugin(data), RequestReceived)
    answer = pair.plugin.send_response(msgid, "z" * 5000)
    assert pair.to_host(answer) == [ResponseReceived(msgid, "z" * 5000)]


def test_answer_over_the_limit_leaves_the_request_open_for_an_error() -> None:
    pair = ConnectionPair(host_limits=Limits(message_bytes=2000)).initialize()
    msgid, data = pair.host.send_request("command.call", {})
    pair.to_plugin(data)
    with pytest.raises(MessageTooLarge):
        pair.plugin.send_response(msgid, "z" * 2000)
    with pytest.raises(NotEncodable):
        pair.plugin.send_response(msgid, {1, 2})
    error = {"name": "rpc.too_large"}
    assert pair.to_host(pair.plugin.send_error(msgid, error)) == [ErrorReceived(msgid, error)]


def test_message_over_the_limit_that_comes_anyway_ends_the_connection(pair: ConnectionPair) -> None:
    pair = ConnectionPair(
        plugin_limits=Limits(message_bytes=2000), byte_at_a_time=pair.byte_at_a_time
    ).initialize()
    text = str(only(pair.to_plugin(pack([0, 1, "command.call", [{"x": "y" * 2000}]])), Failed).error)
    assert text == "the peer sent a message of more than 2000 bytes"


def test_peer_with_too_many_requests_open_is_told_that_this_side_is_busy() -> None:
    pair = ConnectionPair().initialize()
    requests = [pair.host.send_request("command.call", {}) for _ in range(PENDING_REQUESTS)]
    assert len(pair.to_plugin(b"".join(data for _, data in requests))) == PENDING_REQUESTS
    msgid, data = pair.host.send_request("command.call", {})
    refused = only(pair.to_plugin(data), RequestRefused)
    assert refused.error["name"] == "rpc.busy"
    assert refused.error["retryable"]
    busy = pair.plugin.send_error(refused.msgid, refused.error)
    assert pair.to_host(busy) == [ErrorReceived(msgid, refused.error)]
    # One that was answered makes room for one.
    pair.plugin.send_response(requests[0][0], None)
    only(pair.to_plugin(pair.host.send_request("command.call", {})[1]), RequestReceived)
    only(pair.to_plugin(pair.host.send_request("command.call", {})[1]), RequestRefused)


@pytest.mark.parametrize("method", ["ping", "shutdown"])
def test_peer_with_too_many_requests_open_can_still_be_asked(method: str) -> None:
    pair = ConnectionPair().initialize()
    for _ in range(PENDING_REQUESTS + 10):
        pair.to_plugin(pair.host.send_request("command.call", {})[1])
    only(pair.to_plugin(pair.host.send_request(method, {})[1]), RequestReceived)


# Notifications and states.


def test_notification_arrives(pair: ConnectionPair) -> None:
    fields = {"level": "info", "logger": "demo", "message": "hello", "fields": {}}
    data = pair.plugin.send_notification("log", fields)
    assert pair.to_host(data) == [NotificationReceived("log", fields)]
    unknown = pair.host.send_notification("demo.unheard_of", {"x": 1})
    assert pair.to_plugin(unknown) == [NotificationReceived("demo.unheard_of", {"x": 1})]
    assert pair.to_plugin(pack([2, "demo", []])) == [NotificationReceived("demo", {})]


@pytest.mark.parametrize(("sender", "method"), [(HOST, "log"), (PLUGIN, "ping"), (HOST, "shutdown")])
def test_notification_that_is_not_for_its_sender_is_refused_on_both_sides(
    pair: ConnectionPair, sender: str, method: str
) -> None:
    with pytest.raises(LocalProtocolError, match=method):
        pair.end(sender).send_notification(method, {})
    assert method in str(only(pair.deliver(sender, pack([2, method, [{}]])), Failed).error)


@each_caller
def test_failure_says_why_a_side_is_about_to_close(pair: ConnectionPair, caller: str) -> None:
    error = CallFailed("out of memory", name="rpc.internal").to_map()
    assert pair.deliver(caller, pair.end(caller).send_failure(error)) == [PeerFailed(error)]


def test_failure_may_be_told_by_a_side_that_has_failed() -> None:
    pair = ConnectionPair().initialize()
    only(pair.to_host(b"\xc1"), Failed)
    assert pair.to_plugin(pair.host.send_failure({"name": "rpc.protocol"})) == [
        PeerFailed({"name": "rpc.protocol"})
    ]


def test_shutdown_moves_both_ends_to_stopping(pair: ConnectionPair) -> None:
    msgid, data = pair.host.send_request("shutdown", {"grace_ms": 1000})
    assert pair.host.state == STOPPING
    assert pair.to_plugin(data) == [RequestReceived(msgid, "shutdown", {"grace_ms": 1000})]
    assert pair.plugin.state == STOPPING


def test_everything_may_still_be_said_while_stopping(pair: ConnectionPair) -> None:
    earlier, data = pair.host.send_request("command.call", {})
    pair.to_plugin(data)
    stopping, data = pair.host.send_request("shutdown", {})
    pair.to_plugin(data)
    again, data = pair.host.send_request("shutdown", {})
    pair.to_plugin(data)
    assert len(pair.to_host(pair.plugin.send_notification("log", {}))) == 1
    msgid, data = pair.plugin.send_request("host.echo", {})
    assert len(pair.to_host(data)) == 1
    assert pair.to_plugin(pair.host.send_response(msgid, 1)) == [ResponseReceived(msgid, 1)]
    answers = b"".join(pair.plugin.send_response(msgid, None) for msgid in (earlier, stopping, again))
    assert len(pair.to_host(answers)) == 3
    assert pair.host.state == pair.plugin.state == STOPPING


def test_second_initialize_by_the_way_of_a_request_is_refused(pair: ConnectionPair) -> None:
    for connection in (pair.host, Connection(HOST)):
        with pytest.raises(LocalProtocolError, match="initialize"):
            connection.send_request("initialize", {})
        assert connection.pending == {}
