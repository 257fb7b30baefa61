"""Peers of plain msgpack-RPC: ready at once, asked what the caller asks, and taken as they come."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from plugin_host_sdk.connection import HOST, Connection
from plugin_host_sdk.errors import LocalProtocolError, RemoteProtocolError
from plugin_host_sdk.events import (
    Closed,
    ErrorReceived,
    Failed,
    NotificationReceived,
    RequestReceived,
    RequestRefused,
    ResponseReceived,
)
from plugin_host_sdk.handshake import Limits
from plugin_host_sdk.protocol import CLOSED, FAILED, METHODS, PENDING_REQUESTS, READY
from tests.pair import feed, only, single_bytes


@pytest.fixture
def host() -> Connection:
    """A host's connection to a raw peer."""
    return Connection(HOST, raw=True)


def pack(message: list[Any]) -> bytes:
    packed: bytes = msgpack.packb(message)
    return packed


def test_raw_peer_is_ready_at_once(host: Connection) -> None:
    assert host.state == READY


def test_request_is_bare_msgpack_rpc_with_the_parameters_as_given(host: Connection) -> None:
    msgid, data = host.send_request("nvim_eval", ["6*7"])
    assert msgpack.unpackb(data) == [0, msgid, "nvim_eval", ["6*7"]]
    assert host.receive_data(pack([1, msgid, None, 42])) == [ResponseReceived(msgid, 42)]


def test_call_metadata_is_not_sent(host: Connection) -> None:
    _, data = host.send_request("nvim_eval", ["1"], {"timeout_ms": 5, "chain": ["a"]})
    assert msgpack.unpackb(data)[3] == ["1"]


def test_notification_is_sent_with_the_parameters_as_given(host: Connection) -> None:
    data = host.send_notification("nvim_command", ["quit"])
    assert msgpack.unpackb(data) == [2, "nvim_command", ["quit"]]


def test_nothing_is_sent_that_the_caller_did_not_ask_for(host: Connection) -> None:
    with pytest.raises(LocalProtocolError, match="a raw peer knows no initialize"):
        host.send_initialize({})
    msgid, _ = host.send_request("nvim_eval", ["1"])
    host.receive_data(pack([0, 5, "ask", []]))
    assert host.send_progress(5, 1, 2, "half") == b""
    assert host.send_cancel(msgid) == b""
    assert host.send_failure({"name": "rpc.protocol"}) == b""
    assert host.state == READY


@pytest.mark.parametrize("method", [*METHODS, "host.x", "command.call", "", "x" * 300])
def test_methods_of_the_peer_may_have_any_name(host: Connection, method: str) -> None:
    msgid, data = host.send_request(method, [])
    assert msgpack.unpackb(data) == [0, msgid, method, []]
    assert host.state == READY
    assert host.receive_data(pack([0, 7, method, [1]])) == [RequestReceived(7, method, [1])]
    assert host.receive_data(pack([2, method, [1]])) == [NotificationReceived(method, [1])]
    assert msgpack.unpackb(host.send_notification(method, [2])) == [2, method, [2]]


def test_answer_of_an_abandoned_request_is_dropped(host: Connection) -> None:
    msgid, _ = host.send_request("sleep", [5])
    host.send_cancel(msgid)
    assert host.receive_data(pack([1, msgid, None, "late"])) == []
    assert host.late_answers == 1


@pytest.mark.parametrize(
    "value",
    [
        [0, "Vim:E492: Not an editor command"],
        "text",
        False,
        0,
        [],
        {"a": {1: 2}},
        msgpack.ExtType(1, b"\x05"),
        [msgpack.ExtType(0, b"")],
        msgpack.Timestamp(5),
    ],
    ids=repr,
)
def test_errors_and_results_of_any_shape_are_passed_on(host: Connection, value: Any) -> None:
    failed, _ = host.send_request("x", [])
    assert host.receive_data(pack([1, failed, value, None])) == [ErrorReceived(failed, value)]
    succeeded, _ = host.send_request("x", [])
    assert host.receive_data(pack([1, succeeded, None, value])) == [ResponseReceived(succeeded, value)]


@pytest.mark.parametrize("params", [[], [1, [2], {}], {"a": 1}, None, "text"], ids=repr)
def test_notifications_become_events_whatever_they_carry(host: Connection, params: Any) -> None:
    assert host.receive_data(pack([2, "redraw", params])) == [NotificationReceived("redraw", params)]


@pytest.mark.parametrize("method", [1, None, [], {}, b"redraw", [[[]]]], ids=repr)
@pytest.mark.parametrize("kind", ["request", "notification"])
def test_method_that_is_no_text_ends_the_connection(host: Connection, kind: str, method: Any) -> None:
    only(host.receive_data(pack([0, 1, method, []] if kind == "request" else [2, method, []])), Failed)


def test_requests_of_the_peer_are_answered(host: Connection) -> None:
    assert host.receive_data(pack([0, 9, "ask", [1, 2]])) == [RequestReceived(9, "ask", [1, 2])]
    assert host.receive_data(pack([0, 10, "ask", []])) == [RequestReceived(10, "ask", [])]
    assert msgpack.unpackb(host.send_response(9, 3)) == [1, 9, None, 3]
    assert msgpack.unpackb(host.send_error(10, [0, "no"])) == [1, 10, [0, "no"], None]


def test_text_that_is_not_utf8_is_kept_and_goes_back_as_it_came(host: Connection) -> None:
    data = msgpack.packb([2, "line", [b"caf\xe9"]], use_bin_type=False)
    event = only(host.receive_data(data), NotificationReceived)
    assert event.params == ["caf\udce9"]
    assert b"caf\xe9" in host.send_notification("line", event.params)


def test_output_that_is_no_msgpack_ends_the_connection(host: Connection) -> None:
    events = host.receive_data(b"hello\n")
    assert isinstance(events[-1], Failed)
    assert host.state == FAILED


def test_end_of_file_closes(host: Connection) -> None:
    assert host.receive_data(b"") == [Closed()]
    assert host.state == CLOSED
    with pytest.raises(LocalProtocolError, match="nvim_eval cannot be sent"):
        host.send_request("nvim_eval", [])


@pytest.mark.parametrize(
    "message",
    [
        [0, -1, "x", []],
        [0, 2**32, "x", []],
        [0, 1, "x", {}],
        [1, 77, None, 1],
        [3, 1, "x", []],
        [0, 1, "x"],
    ],
    ids=repr,
)
def test_rules_of_msgpack_rpc_hold(host: Connection, message: list[Any]) -> None:
    error = only(host.receive_data(pack(message)), Failed).error
    assert type(error) is RemoteProtocolError


def test_peer_with_too_many_requests_open_is_told_so(host: Connection) -> None:
    data = b"".join(pack([0, msgid, "ask", []]) for msgid in range(PENDING_REQUESTS + 1))
    events = host.receive_data(data)
    assert [type(event) for event in events[-2:]] == [RequestReceived, RequestRefused]


def test_limit_of_this_side_holds() -> None:
    host = Connection(HOST, raw=True, limits=Limits(message_bytes=2000))
    only(host.receive_data(pack([2, "x", ["y" * 2000]])), Failed)


def test_events_are_the_same_byte_by_byte(host: Connection) -> None:
    data = pack([0, 1, "ask", [1]]) + pack([2, "redraw", [[["grid"] * 50]]])
    other = Connection(HOST, raw=True)
    assert feed(host, data) == [event for byte in single_bytes(data) for event in other.receive_data(byte)]
