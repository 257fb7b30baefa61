"""Any bytes give events and end in at most one failure; how they are cut makes no difference."""

from __future__ import annotations

import itertools
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_host_sdk.connection import HOST
from plugin_host_sdk.protocol import INITIALIZE_ID, METHODS
from tests.effort import examples
from tests.fuzz.promise import check_end, events_of, shown
from tests.fuzz.start import CALLS, ROLES, STARTS, initializing, ready
from tests.pair import ANSWER, ConnectionPair

pytestmark = pytest.mark.edges

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


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("state", STARTS)
@settings(max_examples=examples(40))
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
@settings(max_examples=examples(5))
@given(data=st.lists(packed, max_size=6).map(b"".join))
def test_large_messages_around_hostile_ones_make_no_difference(role: str, data: bytes) -> None:
    large = msgpack.packb([2, "demo", [{"x": [b"y" * 40_000, [[]] * 40_000]}]])
    whole, cut = ready(role), ready(role)
    data = large + data + large
    parts = [data[at : at + 8191] for at in range(0, len(data), 8191)]
    assert shown(events_of(whole, [data])) == shown(events_of(cut, parts))


@settings(max_examples=examples(30))
@given(stray=st.binary(max_size=200), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_answer_is_found_behind_any_output(stray: bytes, cuts: list[int]) -> None:
    answer: bytes = msgpack.packb([1, INITIALIZE_ID, None, ANSWER])
    data = stray + answer + msgpack.packb([2, "log", [{}]])
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    host = initializing(HOST)
    events = events_of(host, [data[a:b] for a, b in itertools.pairwise(edges)])
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["StrayOutput"] * bool(stray) + ["Initialized", "NotificationReceived", "Closed"]


@settings(max_examples=examples(40))
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
