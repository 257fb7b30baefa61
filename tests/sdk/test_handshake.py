"""What both sides say of themselves in `initialize`, and how they agree."""

from __future__ import annotations

from typing import Any

import pytest

from plugin_host_sdk.errors import CallFailed, RemoteProtocolError
from plugin_host_sdk.handshake import Limits, check_answer, initialize_params, negotiate
from plugin_host_sdk.protocol import FRAME_BYTES, MESSAGE_BYTES, PROTOCOL_VERSIONS, WINDOW_BYTES
from tests.pair import ANSWER

NAMES = ["message_bytes", "window_bytes", "frame_bytes"]


def test_limits_travel_as_a_map_and_come_out_the_same() -> None:
    limits = Limits(message_bytes=5000, window_bytes=3000, frame_bytes=2000)
    written = limits.to_map()
    assert written == {"message_bytes": 5000, "window_bytes": 3000, "frame_bytes": 2000}
    assert Limits.from_map(written).to_map() == written
    assert repr(limits) == "Limits(frame_bytes=2000, message_bytes=5000, window_bytes=3000)"


def test_limits_have_defaults() -> None:
    assert Limits().to_map() == Limits.from_map({}).to_map()
    assert Limits().to_map() == {
        "message_bytes": MESSAGE_BYTES,
        "window_bytes": WINDOW_BYTES,
        "frame_bytes": FRAME_BYTES,
    }


@pytest.mark.parametrize("name", NAMES)
def test_limits_left_out_have_their_default_and_unknown_ones_are_ignored(name: str) -> None:
    expected = Limits().to_map() | {name: 4096}
    assert Limits.from_map({name: 4096, "unheard_of": None, 5: 6}).to_map() == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [1024, 2**31 - 1])
def test_smallest_and_largest_limit_are_taken(name: str, number: int) -> None:
    assert Limits.from_map({name: number}).to_map()[name] == number


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [1023, 0, -1, 2**31, 2**64 - 1, None, True, "4096", 4096.0, [], {}])
def test_limit_that_makes_no_sense_is_refused_by_name(name: str, number: Any) -> None:
    with pytest.raises(
        RemoteProtocolError, match=rf"limits\.{name} must be 1024 to 2147483647 bytes, not "
    ):
        Limits.from_map({name: number})


@pytest.mark.parametrize("value", [None, [], 5, "x", b"{}"])
def test_limits_that_are_no_map_are_refused(value: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="limits must be a map, not"):
        Limits.from_map(value)


def test_host_says_what_a_plugin_needs() -> None:
    params = initialize_params(
        plugin="demo",
        host={"name": "plugin-host", "version": "1"},
        limits=Limits(),
        settings={"colour": "red"},
        permissions=("host.echo",),
        features=("x",),
    )
    assert params == {
        "protocols": [1],
        "host": {"name": "plugin-host", "version": "1"},
        "plugin": "demo",
        "limits": Limits().to_map(),
        "features": ["x"],
        "settings": {"colour": "red"},
        "permissions": ["host.echo"],
    }


def test_host_that_has_nothing_to_say_says_it() -> None:
    params = initialize_params(plugin="demo", host={}, limits=Limits())
    assert (params["settings"], params["permissions"], params["features"]) == ({}, [], [])


@pytest.mark.parametrize(
    ("theirs", "ours", "agreed"),
    [
        ([1], (1,), 1),
        ([3, 1, 2], (1, 2), 2),
        ([1, 2], (2, 3), 2),
        ([1, "2", None, 2.0, True], (1, 2), 1),
        ([2, 2, 9], (1, 2), 2),
    ],
)
def test_highest_common_version_wins(theirs: list[Any], ours: tuple[int, ...], agreed: int) -> None:
    assert negotiate(theirs, ours) == agreed


def test_protocol_1_is_spoken() -> None:
    assert negotiate([1]) == max(PROTOCOL_VERSIONS)


@pytest.mark.parametrize(
    ("theirs", "ours", "offered", "text"),
    [
        ([2, 3], (1,), [2, 3], "the host speaks 2, 3, this plugin 1"),
        ([], (1, 2), [], "the host speaks none, this plugin 1, 2"),
        (["1"], (1,), [], "the host speaks none, this plugin 1"),
        (None, (1,), [], "the host speaks none, this plugin 1"),
        (1, (1,), [], "the host speaks none, this plugin 1"),
        ({1: 1}, (1,), [], "the host speaks none, this plugin 1"),
    ],
)
def test_no_common_version_is_an_error_that_lists_both_sides(
    theirs: Any, ours: tuple[int, ...], offered: list[int], text: str
) -> None:
    with pytest.raises(CallFailed) as raised:
        negotiate(theirs, ours)
    assert str(raised.value) == f"no common protocol version: {text}"
    assert raised.value.name == "initialize.no_common_protocol"
    assert raised.value.data == {"host": offered, "plugin": list(ours)}


def test_answer_of_the_right_shape_passes_whatever_else_it_says() -> None:
    answer = ANSWER | {"unheard_of": [1], "features": ["x"]}
    assert check_answer(answer) is answer
    assert check_answer({"protocol": 1, "plugin": {"id": "demo"}}) == {
        "protocol": 1,
        "plugin": {"id": "demo"},
    }


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (None, "the answer to initialize must be a map, not None"),
        ([1], r"the answer to initialize must be a map, not \[1\]"),
        (ANSWER | {"protocol": 2}, "the plugin chose protocol version 2; this host speaks 1"),
        ({}, "the plugin chose protocol version None; this host speaks 1"),
        ({"protocol": 1}, "the answer to initialize names no plugin id: None"),
        (ANSWER | {"plugin": "demo"}, "names no plugin id: 'demo'"),
        (ANSWER | {"plugin": {"id": None}}, "names no plugin id: {'id': None}"),
        (ANSWER | {"capabilities": ["command"]}, r"capabilities must be a map, not \['command'\]"),
        (ANSWER | {"sdk": None}, "sdk must be a map, not None"),
    ],
)
def test_answer_of_the_wrong_shape_is_refused_with_what_was_found(answer: Any, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        check_answer(answer)
