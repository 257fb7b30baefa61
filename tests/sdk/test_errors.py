"""One tree of errors; those that travel come out of a map as they went in."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk import errors, protocol
from plugin_host_sdk.errors import (
    CallCancelled,
    CallError,
    CallFailed,
    CallTimeout,
    CommandError,
    LocalProtocolError,
    MessageTooLarge,
    NotEncodable,
    PluginHostError,
    ProtocolError,
    RemoteProtocolError,
    excerpt,
)
from plugin_host_sdk.wire import Encoder

wire_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 9), inner),
    max_leaves=15,
)


def nested(levels: int) -> list[Any]:
    """A list in a list in a list."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("name", errors.__all__)
def test_every_exception_derives_from_the_one_base(name: str) -> None:
    thing = getattr(errors, name)
    if isinstance(thing, type):
        assert issubclass(thing, PluginHostError)


def test_blame_is_in_the_type() -> None:
    for mine in (LocalProtocolError, MessageTooLarge, NotEncodable):
        assert issubclass(mine, ProtocolError)
        assert not issubclass(mine, RemoteProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)
    for ended in (CallFailed, CallTimeout, CallCancelled):
        assert issubclass(ended, CallError)
        assert not issubclass(ended, ProtocolError)


@pytest.mark.parametrize(("name", "expected"), protocol.ERRORS.items())
def test_known_name_brings_its_code_and_whether_to_retry(name: str, expected: tuple[int, bool]) -> None:
    error = CallFailed("no", name=name)
    assert (error.code, error.retryable) == expected


def test_given_code_and_retryable_win_over_the_table() -> None:
    error = CallFailed("no", name="rpc.busy", code=77, retryable=False)
    assert (error.code, error.retryable) == (77, False)


def test_unknown_name_has_code_0_and_is_not_retryable() -> None:
    error = CallFailed("no", name="demo.unheard_of")
    assert (error.code, error.retryable) == (0, False)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rpc.cancelled", CallCancelled),
        ("rpc.deadline_exceeded", CallTimeout),
        ("command.timeout", CallTimeout),
        ("command.not_found", CallFailed),
        ("demo.unheard_of", CallFailed),
    ],
)
def test_error_comes_out_of_a_map_as_it_went_in(name: str, kind: type[CallError]) -> None:
    sent = CallError("no such thing", name=name, code=9, data={"near": ["x"]}, retryable=True)
    error = CallError.from_map(sent.to_map())
    assert type(error) is kind
    assert str(error) == error.message == "no such thing"
    assert (error.name, error.code, error.data, error.retryable) == (name, 9, {"near": ["x"]}, True)


@pytest.mark.parametrize("name", ["exec.session_closed", "action.refused", "metadata.not_found"])
def test_error_of_a_branch_that_cannot_be_loaded_now_is_a_plain_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(CallError.from_map({"name": name}))
    assert kind is not CallFailed
    monkeypatch.setitem(sys.modules, kind.__module__, None)
    error = CallError.from_map({"name": name, "message": "no"})
    assert (type(error), error.name, str(error)) == (CallFailed, name, "no")


def test_map_without_a_code_gets_that_of_the_table() -> None:
    assert CallError.from_map({"name": "command.not_found", "message": "no"}).code == 101


@pytest.mark.parametrize("name", [None, 5, ["rpc.cancelled"], {}])
def test_map_without_a_name_is_a_foreign_error(name: Any) -> None:
    error = CallError.from_map({"name": name, "message": "no"})
    assert type(error) is CallFailed
    assert (error.name, error.message) == ("rpc.foreign", "no")


def test_map_without_a_message_shows_the_name() -> None:
    assert str(CallError.from_map({"name": "demo.broken"})) == "demo.broken"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ([0, "Vim:E492: Not an editor command"], "Vim:E492: Not an editor command"),
        (["first", 2, "second"], "first; second"),
        ("plain text", "plain text"),
        (b"bytes \xff", "bytes �"),
        (None, "None"),
        (17, "17"),
        ([1, 2], "[1, 2]"),
        ([], "[]"),
    ],
)
def test_error_of_any_shape_is_kept_and_shown(error: Any, text: str) -> None:
    raised = CallError.from_map(error)
    assert type(raised) is CallFailed
    assert (raised.name, str(raised)) == ("rpc.foreign", text)
    assert raised.data == error


@given(wire_values)
def test_any_value_can_be_an_error(value: Any) -> None:
    assert isinstance(str(CallError.from_map(value)), str)


def test_error_nested_beyond_the_recursion_limit_can_be_shown() -> None:
    assert len(str(CallError.from_map(nested(5000)))) < 100
    assert len(str(CallError.from_map({"message": nested(5000)}))) < 100


def test_message_that_quotes_a_file_name_of_any_bytes_can_travel() -> None:
    error = CallFailed("no such file: caf\udce9, 文").to_map()
    assert error["message"] == "no such file: caf\\udce9, 文"
    Encoder().encode([1, 2, error, None])


@pytest.mark.parametrize("status", [0, -1, 100, 101, 10**9, 1.5, True])
def test_handler_cannot_end_with_a_status_that_is_not_its_own(status: Any) -> None:
    with pytest.raises(ValueError, match=f"1 to 99, not {status}"):
        CommandError(status)


@pytest.mark.parametrize("status", [1, 99])
def test_command_error_carries_status_message_and_fields(status: int) -> None:
    error = CommandError(status, "disk full", path="/", free=0)
    assert (error.status, error.message, str(error)) == (status, "disk full", "disk full")
    assert error.fields == {"path": "/", "free": 0}


def test_fields_of_a_command_error_may_have_any_name() -> None:
    fields = {"status": "full", "message": "no room", "self": 1}
    assert CommandError(5, "disk full", **fields).fields == fields


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ("x", "'x'"),
        (b"x", "b'x'"),
        ([1, [2, {"a": (3,)}]], "[1, [2, {'a': [...]}]]"),
        ([[[[1]]]], "[[[[...]]]]"),
        ([1, (2,)], "[1, [2]]"),
        ([[[{}]]], "[[[{}]]]"),
        ({"a": {"b": {"c": {"d": 1}}}}, "{'a': {'b': {'c': {...}}}}"),
        (list(range(21)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, ...]"),
    ],
)
def test_excerpt_shows_a_small_value_whole(value: Any, text: str) -> None:
    assert excerpt(value) == text


@given(wire_values)
def test_excerpt_is_short(value: Any) -> None:
    assert len(excerpt(value)) <= 80


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, b"\xff" * 10**6, nested(5000), dict.fromkeys(range(10**5)), [["x" * 999] * 99] * 99],
    ids=["text", "bytes", "deep", "map", "wide"],
)
def test_excerpt_of_a_huge_value_is_short(value: Any) -> None:
    assert len(excerpt(value)) <= 80
