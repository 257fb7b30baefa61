"""What is no message of the protocol ends the connection, whatever it is, and in a few words."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from plugin_host_sdk.connection import HOST, PLUGIN, Connection
from plugin_host_sdk.errors import RemoteProtocolError
from plugin_host_sdk.events import Failed
from plugin_host_sdk.protocol import FAILED
from tests.pair import ConnectionPair, only

DEEP = b"\x91" * 1000 + b"\x90"
"""A list nested close to the depth that the decoder refuses, which no `repr` survives."""


def failure(connection: Connection, data: bytes) -> str:
    """The text of the failure that `data` is."""
    event = only(connection.receive_data(data), Failed)
    assert type(event.error) is RemoteProtocolError
    assert connection.state == FAILED
    text = str(event.error)
    assert len(text) < 300
    return text


def ready(role: str) -> Connection:
    """A connection in READY with request 7 open on either side."""
    connection = ConnectionPair().initialize().end(role)
    connection.pending[7] = "command.call"
    connection.incoming[7] = "command.call"
    return connection


@pytest.mark.parametrize("role", [HOST, PLUGIN])
@pytest.mark.parametrize(
    "message",
    [
        None,
        True,
        1,
        1.5,
        "text",
        [],
        [0],
        [1],
        [2],
        [0, 1, "ping"],
        [0, 1, "ping", [], 4],
        [1, 7, None],
        [1, 7, None, 1, 1],
        [2, "log"],
        [2, "log", [], 3],
        [3, 1, "ping", []],
        [-1, 1, "ping", []],
        ["0", 1, "ping", []],
        [None, 1, None, 1],
        [[0], 1, "ping", []],
        [{}, 1, "ping", []],
        b"\x01\x07\x00\x01",
        {1: 7},
        {0: 1, 7: None, None: None, "result": None},
        msgpack.ExtType(1, b"1234"),
        msgpack.Timestamp(1),
    ],
    ids=repr,
)
def test_value_that_is_no_message_ends_the_connection(role: str, message: Any) -> None:
    failure(ready(role), msgpack.packb(message))


@pytest.mark.parametrize("msgid", [-1, 2**32, 1.5, True, None, "1", [1], {}])
def test_request_id_that_is_not_32_bits_ends_the_connection(msgid: Any) -> None:
    assert "malformed" in failure(ready(PLUGIN), msgpack.packb([0, msgid, "ping", [{}]]))


@pytest.mark.parametrize("method", [1, None, True, [], {}, b"ping"], ids=repr)
@pytest.mark.parametrize("kind", ["request", "notification"])
def test_method_that_is_no_text_ends_the_connection(kind: str, method: Any) -> None:
    message = [0, 1, method, [{}]] if kind == "request" else [2, method, [{}]]
    failure(ready(PLUGIN), msgpack.packb(message))


@pytest.mark.parametrize("params", [{}, None, 1, "x", b"[]"], ids=repr)
@pytest.mark.parametrize("kind", ["request", "notification"])
def test_parameters_that_are_no_list_end_the_connection(kind: str, params: Any) -> None:
    message = [0, 1, "ping", params] if kind == "request" else [2, "cancel", params]
    assert "malformed" in failure(ready(PLUGIN), msgpack.packb(message))


@pytest.mark.parametrize("params", [[None], [1], [[]], ["x"], [[], {}]], ids=repr)
def test_notification_without_a_map_ends_the_connection(params: Any) -> None:
    text = failure(ready(PLUGIN), msgpack.packb([2, "demo.event", params]))
    assert text == "the parameters of 'demo.event' must be a map"


@pytest.mark.parametrize("msgid", [8, 2**32 - 1, 2**63, -1, None, "7", 7.5, [], {}], ids=repr)
def test_answer_to_a_request_that_is_not_open_ends_the_connection(msgid: Any) -> None:
    failure(ready(HOST), msgpack.packb([1, msgid, None, 1]))


@pytest.mark.parametrize("arguments", [{}, {"msgid": []}, {"msgid": {}}], ids=repr)
def test_cancel_without_an_id_ends_the_connection(arguments: Any) -> None:
    failure(ready(PLUGIN), msgpack.packb([2, "cancel", [arguments]]))


@pytest.mark.parametrize(
    "change",
    [
        {"done": None},
        {"done": "1"},
        {"done": []},
        {"total": "1"},
        {"total": [1]},
        {"msgid": []},
        {"message": 5},
        {"message": b"x"},
        {"message": ["x"]},
    ],
    ids=repr,
)
def test_progress_of_the_wrong_types_ends_the_connection(change: dict[str, Any]) -> None:
    progress = {"msgid": 7, "done": 1, "total": 2, "message": "x"}
    failure(ready(HOST), msgpack.packb([2, "progress", [progress | change]]))


@pytest.mark.parametrize("key", ["msgid", "done"])
def test_progress_without_what_it_needs_ends_the_connection(key: str) -> None:
    progress = {"msgid": 7, "done": 1}
    del progress[key]
    failure(ready(HOST), msgpack.packb([2, "progress", [progress]]))


@pytest.mark.parametrize(
    "prefix",
    [
        b"",
        b"\x94\x00",
        b"\x94\x00\x01",
        b"\x94\x00\x01\xa4ping",
        b"\x94\x01",
        b"\x93\x02",
        b"\x93\x02\xa3log",
        b"\x93\x02\xa3log\x91",
        b"\x93\x02\xa6cancel\x91\x81\xa5msgid",
        b"\x93\x02\xa8progress\x91\x82\xa5msgid\x07\xa4done",
        b"\x93\x02\xa8progress\x91\x83\xa5msgid\x07\xa4done\x01\xa7message",
        b"\x93\x02\xabstream.data\x93",
        b"\x93\x02\xabstream.data\x93\x01",
        b"\x93\x02\xabstream.data\x93\x01\x00",
        b"\x93\x02\xaastream.gap\x93\x01",
        b"\x93\x02\xaastream.gap\x93\x01\x00",
        b"\x93\x02\xaastream.end\x92\x01",
        b"\x93\x02\xadstream.credit\x92\x02",
        b"\x93\x02\xabstream.stop\x92",
    ],
    ids=repr,
)
@pytest.mark.parametrize("role", [HOST, PLUGIN])
def test_deep_nesting_anywhere_is_refused_in_a_few_words(role: str, prefix: bytes) -> None:
    connection = ready(role)
    if role == HOST:
        connection.streams.open_receive(1, 1000)
        connection.streams.open_send(connection.streams.reserve())
    events = connection.receive_data(prefix + DEEP * 4)
    assert isinstance(events[-1], Failed)
    assert len(str(events[-1].error)) < 300
