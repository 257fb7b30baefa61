"""Events are values: equal by content, shown with all they hold."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from plugin_host_sdk import events
from plugin_host_sdk.errors import RemoteProtocolError
from plugin_host_sdk.events import (
    Closed,
    DataReceived,
    EndReceived,
    Event,
    Failed,
    RequestReceived,
    ResponseReceived,
    StopReceived,
)

KINDS: list[type[Event]] = [getattr(events, name) for name in events.__all__ if name not in ("Event",)]


def made(kind: type[Event]) -> Any:
    """An event of any kind, each field holding its own name."""
    names = list(inspect.signature(kind.__init__).parameters)[1:] if kind.__slots__ else []
    return kind(*names)


@pytest.mark.parametrize("kind", KINDS)
def test_event_holds_what_it_was_made_of(kind: type[Event]) -> None:
    event = made(kind)
    assert {name: getattr(event, name) for name in kind.__slots__} == {
        name: name for name in kind.__slots__
    }
    assert not hasattr(event, "__dict__")


@pytest.mark.parametrize("kind", KINDS)
def test_event_is_equal_to_one_with_the_same_content(kind: type[Event]) -> None:
    assert made(kind) == made(kind)
    for name in kind.__slots__:
        other = made(kind)
        setattr(other, name, "different")
        assert made(kind) != other


def test_events_of_different_kinds_are_different() -> None:
    for kind in KINDS:
        for other in KINDS:
            assert (made(kind) == made(other)) == (kind is other)
    assert Closed() != 5
    assert ResponseReceived(1, None) != (1, None)


@pytest.mark.parametrize("kind", KINDS)
def test_event_shows_all_it_holds(kind: type[Event]) -> None:
    text = repr(made(kind))
    assert text.startswith(f"{kind.__name__}(")
    for name in kind.__slots__:
        assert f"{name}={name!r}" in text


def test_events_may_hold_lists_and_are_not_hashable() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(RequestReceived(1, "x", {}))


def test_what_may_be_left_out_has_a_default() -> None:
    assert RequestReceived(1, "x", {}).meta is None
    assert EndReceived(1, 2).error is None
    assert StopReceived(1).code is None


def test_failed_shows_its_reason() -> None:
    assert (
        repr(Failed(RemoteProtocolError("bad bytes"))) == "Failed(error=RemoteProtocolError('bad bytes'))"
    )
    assert repr(DataReceived(2, 0, b"x")) == "DataReceived(data=b'x', offset=0, stream=2)"
    assert repr(Closed()) == "Closed()"
