"""How a connection ends: closed between messages, failed for anything else, and silent ever after."""

from __future__ import annotations

import gc
import weakref

import msgpack
import pytest

from plugin_host_sdk.connection import HOST, PLUGIN, Connection
from plugin_host_sdk.errors import LocalProtocolError, RemoteProtocolError
from plugin_host_sdk.events import Closed, Event, Failed, NotificationReceived, RequestReceived
from plugin_host_sdk.protocol import CLOSED, FAILED, INITIALIZE_ID, INITIALIZING, OPENING, READY, STOPPING
from tests.pair import ANSWER, ConnectionPair, feed, only

GOOD: bytes = msgpack.packb([2, "demo", [{}]])
STATES = [OPENING, INITIALIZING, READY, STOPPING]


def plugin_in(state: str) -> Connection:
    """A plugin's connection that has come as far as `state`."""
    host, plugin = Connection(HOST), Connection(PLUGIN)
    if state != OPENING:
        plugin.receive_data(host.send_initialize({}))
    if state in (READY, STOPPING):
        host.receive_data(plugin.send_response(INITIALIZE_ID, ANSWER))
    if state == STOPPING:
        plugin.receive_data(host.send_request("shutdown", {})[1])
    assert plugin.state == state
    return plugin


@pytest.mark.parametrize("state", STATES)
def test_end_of_file_between_messages_closes(state: str) -> None:
    plugin = plugin_in(state)
    assert plugin.receive_data(b"") == [Closed()]
    assert plugin.state == CLOSED


@pytest.mark.parametrize("state", STATES)
def test_end_of_file_inside_a_message_fails(state: str) -> None:
    plugin = plugin_in(state)
    assert plugin.receive_data(GOOD[:4]) == []
    text = str(only(plugin.receive_data(b""), Failed).error)
    assert text == "the peer closed in the middle of a message (4 bytes of it arrived)"
    assert plugin.state == FAILED


def test_end_of_file_inside_a_large_message_fails() -> None:
    plugin = plugin_in(READY)
    data = msgpack.packb([2, "demo", [{"x": b"x" * 300_000, "y": [[]] * 50_000}]])
    assert plugin.receive_data(data[:-1]) == []
    text = str(only(plugin.receive_data(b""), Failed).error)
    assert f"({len(data) - 1} bytes of it arrived)" in text


@pytest.mark.parametrize("state", STATES)
def test_bytes_that_are_no_message_fail(state: str) -> None:
    plugin = plugin_in(state)
    only(plugin.receive_data(b"hello"), Failed)
    assert plugin.state == FAILED


@pytest.mark.parametrize("byte_at_a_time", [False, True])
def test_everything_before_a_failure_is_reported(byte_at_a_time: bool) -> None:
    plugin = plugin_in(READY)
    events = feed(plugin, GOOD * 3 + b"\xc1" + GOOD, byte_at_a_time=byte_at_a_time)
    assert events[:3] == [NotificationReceived("demo", {})] * 3
    only(events[3:], Failed)


@pytest.mark.parametrize("last", [b"", b"\xc1"], ids=["closed", "failed"])
def test_nothing_happens_after_the_last_event(last: bytes) -> None:
    plugin = plugin_in(READY)
    assert len(plugin.receive_data(last)) == 1
    for data in (GOOD, b"", b"\xc1", b"x" * 200_000):
        assert plugin.receive_data(data) == []


@pytest.mark.parametrize("last", [b"", b"\xc1"], ids=["closed", "failed"])
def test_nothing_but_a_failure_may_be_said_after_the_end(last: bytes) -> None:
    plugin = plugin_in(READY)
    plugin.send_request("host.echo", {})
    plugin.receive_data(last)
    with pytest.raises(LocalProtocolError, match=f"host.echo cannot be sent .* {plugin.state}"):
        plugin.send_request("host.echo", {})
    with pytest.raises(LocalProtocolError, match="log cannot be sent"):
        plugin.send_notification("log", {})
    assert plugin.send_failure({}) != b""


def test_requests_that_were_open_can_be_found_after_the_end() -> None:
    pair = ConnectionPair().initialize()
    msgid, data = pair.host.send_request("command.call", {})
    pair.to_plugin(data)
    pair.host.receive_data(b"")
    pair.plugin.receive_data(b"\xc1")
    assert pair.host.pending == pair.plugin.incoming == {msgid: "command.call"}


def test_failure_is_an_error_to_raise() -> None:
    error = only(plugin_in(READY).receive_data(b"\xc1"), Failed).error
    with pytest.raises(RemoteProtocolError, match="bytes that are no message"):
        raise error


def test_connection_that_failed_is_freed_without_the_collector() -> None:
    gc.disable()
    try:
        for data in (b"\xc1", msgpack.packb([5]), msgpack.packb([2, "cancel", [{}]]), b"\x91" * 2000):
            plugin = plugin_in(READY)
            freed = weakref.ref(plugin.streams)
            error = only(plugin.receive_data(data), Failed).error
            del plugin
            assert freed() is None, str(error)
    finally:
        gc.enable()


def test_connection_shows_its_state() -> None:
    plugin = plugin_in(READY)
    assert repr(plugin) == "<Connection plugin ready pending=0 incoming=0 streams=0>"
    plugin.send_request("host.echo", {})
    plugin.streams.open_send(2)
    plugin.receive_data(msgpack.packb([0, 1, "command.call", []]))
    plugin.receive_data(b"")
    assert repr(plugin) == "<Connection plugin closed pending=1 incoming=1 streams=1>"


def test_all_that_arrives_in_one_read_is_reported_in_order() -> None:
    pair = ConnectionPair().initialize()
    requests = b"".join(pair.host.send_request("command.call", {"n": n})[1] for n in range(1000))
    events: list[Event] = pair.to_plugin(requests)
    assert events == [RequestReceived(n, "command.call", {"n": n}) for n in range(1000)]
