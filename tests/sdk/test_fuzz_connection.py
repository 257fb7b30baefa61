"""Any bytes give events and end in at most one failure; how they are cut makes no difference."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_host_sdk.connection import HOST, PLUGIN, Connection
from plugin_host_sdk.events import Closed, Event, Failed, InitializeRefused
from plugin_host_sdk.protocol import (
    CLOSED,
    ENDED,
    FAILED,
    INITIALIZE_ID,
    INITIALIZING,
    METHODS,
    OPENING,
    READY,
    STOPPING,
)
from tests.pair import ANSWER, ConnectionPair

ROLES = [HOST, PLUGIN]
CALLS = {HOST: "command.call", PLUGIN: "host.echo"}
LAST = (Failed, Closed, InitializeRefused)


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

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.sampled_from([2**32, 2**63, -(2**63), 2**64 - 1, INITIALIZE_ID])
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=20)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4))
)
keys = st.sampled_from(["msgid", "done", "total", "message", "limits", "protocol", "plugin", "id"])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(keys | st.integers(0, 3), inner, max_size=4)
    ),
    max_leaves=8,
)
methods = st.sampled_from([*METHODS, *CALLS.values(), "demo", "host.x"])
ids = st.integers(0, 6) | st.just(INITIALIZE_ID)
maps = st.fixed_dictionaries(
    {}, optional={"msgid": ids, "done": st.floats() | ids, "message": st.text(max_size=3), "x": values}
)
offsets = st.sampled_from([0, 0, 0, 3, 10, 1000])
frames = st.one_of(
    st.tuples(st.just("stream.data"), st.tuples(ids, offsets, st.binary(max_size=12))),
    st.tuples(st.just("stream.gap"), st.tuples(ids, offsets, st.integers(0, 50))),
    st.tuples(st.just("stream.end"), st.tuples(ids, offsets)),
    st.tuples(st.just("stream.credit"), st.tuples(ids, st.integers(0, 500))),
    st.tuples(st.just("stream.stop"), st.tuples(ids)),
)
messages = st.one_of(
    st.tuples(st.just(0), ids, methods, st.tuples(maps) | st.tuples(maps, maps) | st.just(())),
    st.tuples(st.just(1), ids, st.none(), values),
    st.tuples(st.just(1), ids, values, st.none()),
    st.tuples(st.just(1), st.just(INITIALIZE_ID), st.none(), st.just(ANSWER)),
    st.tuples(st.just(2), methods, st.tuples(maps) | values),
    frames.map(lambda frame: (2, *frame)),
)
packed = messages.map(msgpack.packb)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A few good messages of which some bytes were changed, cut out, or said twice."""
    data = bytearray(b"".join(draw(st.lists(packed, min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 3))
        data[at : at + size] = draw(st.binary(max_size=3) | st.just(bytes(data[at : at + 2 * size])))
    return bytes(data)


hostile = st.one_of(
    st.binary(max_size=300),
    values.map(msgpack.packb),
    st.lists(packed, max_size=6).map(b"".join),
    mutations(),
)


def events_of(connection: Connection, parts: list[bytes]) -> list[Event]:
    """Everything that happens, the end of file included; an empty read would be that end."""
    events = [event for part in parts if part for event in connection.receive_data(part)]
    return events + connection.receive_data(b"")


def shown(events: list[Event]) -> list[str]:
    """Events to compare: by what they show, for NaN is not equal to itself."""
    return ["Failed" if type(event) is Failed else repr(event) for event in events]


def check_end(connection: Connection, events: list[Event]) -> None:
    assert events
    assert isinstance(events[-1], LAST)
    assert not any(isinstance(event, LAST) for event in events[:-1])
    assert connection.state == (CLOSED if isinstance(events[-1], Closed) else FAILED)
    assert connection.state in ENDED
    assert connection.receive_data(b"\x93\x02\xa1x\x90") == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("state", STARTS)
@settings(max_examples=120)
@given(data=hostile, cuts=st.lists(st.integers(0, 300), max_size=8))
def test_any_bytes_give_the_same_events_however_they_are_cut(
    role: str, state: str, data: bytes, cuts: list[int]
) -> None:
    start = STARTS[state]
    whole = start(role)
    events = events_of(whole, [data])
    check_end(whole, events)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for parts in (
        [data[at : at + 1] for at in range(len(data))],
        [data[a:b] for a, b in itertools.pairwise(edges)],
    ):
        other = start(role)
        assert shown(events_of(other, parts)) == shown(events)
        assert other.state == whole.state
        assert repr(other) == repr(whole)


@pytest.mark.parametrize("role", ROLES)
@settings(max_examples=15)
@given(data=st.lists(packed, max_size=6).map(b"".join))
def test_large_messages_around_hostile_ones_make_no_difference(role: str, data: bytes) -> None:
    large = msgpack.packb([2, "demo", [{"x": [b"y" * 40_000, [[]] * 40_000]}]])
    whole, cut = ready(role), ready(role)
    data = large + data + large
    parts = [data[at : at + 8191] for at in range(0, len(data), 8191)]
    assert shown(events_of(whole, [data])) == shown(events_of(cut, parts))


@settings(max_examples=60)
@given(stray=st.binary(max_size=200), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_answer_is_found_behind_any_output(stray: bytes, cuts: list[int]) -> None:
    answer: bytes = msgpack.packb([1, INITIALIZE_ID, None, ANSWER])
    data = stray + answer + msgpack.packb([2, "log", [{}]])
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    host = initializing(HOST)
    events = events_of(host, [data[a:b] for a, b in itertools.pairwise(edges)])
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["StrayOutput"] * bool(stray) + ["Initialized", "NotificationReceived", "Closed"]


@settings(max_examples=100)
@given(value=values)
def test_any_value_may_be_asked_answered_and_refused(value: Any) -> None:
    pair = ConnectionPair().initialize()
    msgid, data = pair.host.send_request("command.call", {"x": value})
    (asked,) = pair.to_plugin(data)
    assert repr(asked.params) == repr({"x": value})  # type: ignore[attr-defined]
    (answered,) = pair.to_host(pair.plugin.send_response(msgid, value))
    assert repr(answered.result) == repr(value)  # type: ignore[attr-defined]
    if value is not None:
        msgid, data = pair.host.send_request("command.call", {})
        pair.to_plugin(data)
        (refused,) = pair.to_host(pair.plugin.send_error(msgid, value))
        assert repr(refused.error) == repr(value)  # type: ignore[attr-defined]
