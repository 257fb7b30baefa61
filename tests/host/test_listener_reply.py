"""What a request holds, and what a reply looks like for every way in which one ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plugin_host.errors import (
    CallCancelled,
    CallError,
    CallFailed,
    CallTimeout,
    CommandError,
    CrashLoop,
    LaunchError,
    PluginDied,
    PluginNotFound,
    PluginNotReady,
)
from plugin_host.listener.framing import BadRequest, RequestCut
from plugin_host.listener.outcome import reply_to
from plugin_host.listener.reply import Reply, Status, encoded
from plugin_host.listener.request import Request
from plugin_host_sdk.errors import MessageTooLarge

pytestmark = pytest.mark.edges


@pytest.mark.parametrize("name", ["Command", "command", "COMMAND", "cOmMaNd"])
def test_command_is_found_in_any_spelling(name: str) -> None:
    request = Request.of({name: "a", "Other": 1})
    assert (request.command, dict(request)) == ("a", {"Other": 1})


@pytest.mark.parametrize("value", [None, {}])
def test_nothing_selects_the_empty_command(value: Any) -> None:
    request = Request.of(value)
    assert (request.command, len(request)) == ("", 0)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"Command": 5}, r"\$\.Command: expected text, found a whole number"),
        ({"Command": None}, r"\$\.Command: expected text, found null"),
        ({"Command": "a", "command": "b"}, "expected `Command` once, found `Command` and `command`"),
        ([1], "expected a JSON object, found a list"),
        ({1: 2}, "expected a JSON object"),
        (b"x", "expected a JSON object"),
    ],
)
def test_what_is_no_request_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(BadRequest, match=problem):
        Request.of(value)


def test_free_fields_are_found_in_any_spelling_and_kept_in_the_clients() -> None:
    request = Request("a", {"Option": 1, "other": 2})
    assert request["option"] == request["OPTION"] == request.get("Option") == 1
    assert request.to_map() == {"Option": 1, "other": 2}
    assert "nothing" not in request
    assert "nothing else" in repr(Request("a", {}))


def test_field_that_is_given_in_two_spellings_is_taken_in_neither() -> None:
    request = Request("a", {"x": 1, "X": 2})
    with pytest.raises(BadRequest, match="found `x` and `X`"):
        request["x"]
    assert request.to_map() == {"x": 1, "X": 2}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"a": 1}, {"a": 1}),
        ({"status": "ok"}, {"Result": {"status": "ok"}}),
        ({"STATUSMESSAGE": 1}, {"Result": {"STATUSMESSAGE": 1}}),
        ({"a": b"x"}, {"a": {"$bytes": "eA=="}}),
    ],
)
def test_reply_has_status_and_message_first_and_nothing_hides_them(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    line = encoded(Reply(7, "text", fields))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    reply = json.loads(line)
    assert list(reply)[:2] == ["Status", "StatusMessage"]
    assert reply == {"Status": 7, "StatusMessage": "text", **expected}


def nest(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [object(), {1, 2}, nest(5000)])
def test_what_json_cannot_carry_is_status_106(value: Any) -> None:
    reply = json.loads(encoded(Reply(0, "", {"a": value})))
    assert reply["Status"] == 106
    assert "cannot be written as JSON" in reply["StatusMessage"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CommandError(42, "own"), 42),
        (BadRequest("bad"), 102),
        (CallFailed("x", name="command.not_found"), 101),
        (CallFailed("x", name="command.bad_request"), 102),
        (MessageTooLarge("x"), 102),
        (CallTimeout("x", name="command.timeout"), 104),
        (CallFailed("x", name="command.handler_failed"), 105),
        (CallFailed("x", name="rpc.foreign"), 105),
        (CallFailed("x", name="command.failed", code=0), 105),
        (CallFailed("x", name="command.failed", code=4711), 105),
        (CallError("x"), 105),
        (ValueError("x"), 105),
        (CallFailed("x", name="rpc.not_encodable"), 102),
        (CallFailed("x", name="command.not_encodable"), 106),
        (PluginNotFound("x", plugin="a"), 501),
        (PluginNotReady("x", plugin="a", state="failed"), 501),
        (LaunchError("x"), 501),
        (CrashLoop("x", plugin="a"), 501),
        (PluginDied("x"), 502),
        (CallCancelled("x", name="rpc.cancelled"), 502),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_every_end_has_its_status(error: Exception, status: int) -> None:
    assert reply_to(error).status == status


def test_status_103_is_of_the_clients_connection_and_of_none_of_a_plugin() -> None:
    assert reply_to(RequestCut("cut", position=(1, 2, 1), is_lost=True)).to_map() == {
        "Status": 103,
        "StatusMessage": "cut",
        "Line": 1,
        "Column": 2,
        "Offset": 1,
    }
    for name in ("command.connection", "rpc.internal", "command.failed"):
        assert reply_to(CallFailed("x", name=name, code=103)).status != Status.CONNECTION


def test_handlers_own_status_keeps_its_text_and_fields() -> None:
    error = CallFailed("demo greet: no luck", name="command.failed", code=7, data={"Left": 3})
    assert reply_to(error, "demo greet").to_map() == {"Status": 7, "StatusMessage": "no luck", "Left": 3}


def test_traceback_is_shown_to_who_debugs_alone_and_its_end_when_it_is_long() -> None:
    data = {"type": "ValueError", "message": "no luck", "traceback": "x" * 100_000 + "the end"}
    reply = reply_to(CallFailed("x", name="command.handler_failed", data=data))
    assert reply.to_map() == {"Status": 105, "StatusMessage": "no luck", "ErrorType": "ValueError"}
    assert "xx" not in encoded(reply).decode() + repr(reply)
    shown = json.loads(encoded(reply, debug=True))["Traceback"]
    assert shown.endswith("xthe end")
    assert len(shown) == 32 * 1024


@pytest.mark.parametrize("traceback", [None, 5, ["x"], ""])
def test_traceback_that_is_none_is_not_shown(traceback: object) -> None:
    reply = reply_to(CallFailed("x", name="command.handler_failed", data={"traceback": traceback}))
    assert "Traceback" not in reply.to_map(debug=True)


def test_message_of_105_is_the_text_of_the_error() -> None:
    reply = reply_to(ValueError("no luck")).to_map()
    assert reply == {"Status": 105, "StatusMessage": "no luck", "ErrorType": "ValueError"}
    assert reply_to(KeyError()).message == "KeyError"


def test_traceback_stays_in_the_host() -> None:
    data = {"type": "ValueError", "message": "no luck", "traceback": "secret"}
    reply = reply_to(CallFailed("x raised", name="command.handler_failed", data=data))
    assert reply.to_map() == {"Status": 105, "StatusMessage": "no luck", "ErrorType": "ValueError"}


def test_position_of_a_bad_request_is_in_fields_of_its_own() -> None:
    assert reply_to(BadRequest("x", position=(2, 3, 14))).fields == {"Line": 2, "Column": 3, "Offset": 14}
    bad = CallFailed("x", name="command.bad_request", data={"path": "$.size"})
    assert reply_to(bad).fields == {"Path": "$.size"}
