"""A connection in every state that bytes can meet: each role, each step of its life, raw peers."""

from __future__ import annotations

from collections.abc import Callable

import msgpack

from plugin_host_sdk.connection import HOST, PLUGIN, Connection
from plugin_host_sdk.protocol import INITIALIZING, OPENING, READY, STOPPING
from tests.pair import ConnectionPair

ROLES = (HOST, PLUGIN)
CALLS = {HOST: "command.call", PLUGIN: "host.echo"}


def opening(role: str) -> Connection:
    return Connection(role)


def initializing(role: str) -> Connection:
    pair = ConnectionPair()
    pair.to_plugin(pair.host.send_initialize({}))
    return pair.end(role)


def ready(role: str) -> Connection:
    """With requests and streams of every kind: open, given up, ended."""
    connection = ConnectionPair().initialize().end(role)
    for _ in range(3):
        connection.send_request(CALLS[role], {})
    connection.send_cancel(2)
    connection.receive_data(msgpack.packb([0, 5, CALLS[PLUGIN if role == HOST else HOST], [{}]]))
    ours, theirs = (2, 1) if role == HOST else (1, 2)
    streams = connection.streams
    streams.open_send(streams.reserve(), 100)
    streams.open_receive(theirs, 1000)
    streams.open_receive(theirs + 2, 1000)
    streams.forget(theirs + 2)
    assert set(streams.sending) == {ours}
    return connection


def stopping(role: str) -> Connection:
    connection = ready(role)
    if role == HOST:
        connection.send_request("shutdown", {})
    else:
        connection.receive_data(msgpack.packb([0, 6, "shutdown", [{}]]))
    return connection


def raw(role: str) -> Connection:
    connection = Connection(role, raw=True)
    for _ in range(3):
        connection.send_request("x", [])
    connection.send_cancel(2)
    return connection


STARTS: dict[str, Callable[[str], Connection]] = {
    OPENING: opening,
    INITIALIZING: initializing,
    READY: ready,
    STOPPING: stopping,
    "raw": raw,
}
