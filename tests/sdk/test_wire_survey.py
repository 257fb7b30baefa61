"""What msgpack writes and no decoder of ours takes is refused by its sender, and costs that call alone."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from plugin_host_sdk.errors import LocalProtocolError, MessageTooLarge, NotEncodable
from plugin_host_sdk.events import ResponseReceived
from plugin_host_sdk.protocol import CONTAINER_ITEMS, MESSAGE_CONTAINERS
from plugin_host_sdk.wire import Decoder, Encoder, ExtType, Timestamp
from tests.pair import ConnectionPair

pytestmark = pytest.mark.edges

ROOM = 100
"""Containers of a message besides those of the value."""


class Colour(enum.IntEnum):
    RED = 1


class Word(str): ...


def extension_keys(count: int) -> dict[Any, Any]:
    return {ExtType(1, number.to_bytes(4, "big")): None for number in range(count)}


def encode(value: Any, **options: Any) -> bytes:
    encoder = Encoder(**options)
    message = [1, 7, None, value]
    data = encoder.encode(message)
    encoder.survey(message)
    return data


@pytest.mark.parametrize(
    "value",
    [
        [[]] * (MESSAGE_CONTAINERS - ROOM),
        {n: n for n in range(MESSAGE_CONTAINERS)},
        list(range(CONTAINER_ITEMS)),
        [ExtType(1, b"")] * (MESSAGE_CONTAINERS - ROOM),
        {Word("word"): Colour.RED, Colour.RED: Word("x"), None: 1, 1.5: 2, True: 3, b"b": 4},
        {ExtType(1, b"a"): 1, Timestamp(5): 2},
        extension_keys(MESSAGE_CONTAINERS - ROOM),
        [bytearray(b"x"), memoryview(b"y"), (1, (2,)), {}],
        b"x" * 1_000_000,
    ],
    ids=["lists", "map", "list", "extensions", "keys", "extension keys", "many of them", "leaves", "bytes"],
)
def test_what_is_within_the_limits_is_sent_and_taken(value: Any) -> None:
    decoder = Decoder()
    messages = decoder.feed(encode(value))
    assert decoder.error is None
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ([[]] * (MESSAGE_CONTAINERS + 1), MessageTooLarge, "more than 100000 lists, maps"),
        ([{}] * (MESSAGE_CONTAINERS + 1), MessageTooLarge, "more than 100000 lists, maps"),
        (extension_keys(MESSAGE_CONTAINERS), MessageTooLarge, "more than 100000 lists, maps"),
        ([[[]] * 1000] * 200, MessageTooLarge, "more than 100000 lists, maps"),
        ([ExtType(1, b"")] * (MESSAGE_CONTAINERS + 1), MessageTooLarge, "more than 100000"),
        ({n: n for n in range(MESSAGE_CONTAINERS + 1)}, MessageTooLarge, "a map of 100001 keys"),
        (list(range(CONTAINER_ITEMS + 1)), MessageTooLarge, "a list of 1048577 items"),
        ({(1, 2): 3}, NotEncodable, "the key [1, 2] of a map: it holds other values"),
        ([{"a": [{"b": {(): 1}}]}], NotEncodable, "the key [] of a map"),
    ],
    ids=["lists", "maps", "extension keys", "nested", "extensions", "map", "list", "key", "deep key"],
)
def test_what_the_peer_would_not_take_is_refused(
    value: Any, kind: type[LocalProtocolError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        encode(value)
    assert words in str(caught.value)
    # And rightly so.
    decoder = Decoder()
    decoder.feed(Encoder().pack([1, 7, None, value]))
    assert decoder.error is not None


def test_records_count_as_what_they_become() -> None:
    class Record:
        def __init__(self, *inner: Record) -> None:
            self.inner = inner

    def convert(record: Record) -> dict[str, Any]:
        return {"inner": list(record.inner)}

    encode([Record()] * 40_000, default=convert)
    with pytest.raises(MessageTooLarge):
        encode([Record()] * 60_000, default=convert)
    with pytest.raises(MessageTooLarge):
        encode([Record(Record())] * 30_000, default=convert)


KEY = {(1, 2): 3}


@pytest.mark.parametrize("value", [KEY, {"a": KEY}, {"a": [KEY]}, {"a": 1, "b": {"c": KEY}}], ids=repr)
def test_small_message_with_a_key_that_holds_values_costs_its_call_alone(value: Any) -> None:
    pair = ConnectionPair().initialize()
    host, plugin = pair.host, pair.plugin
    asked, data = host.send_request("command.call", {})
    pair.to_plugin(data)
    for send in (
        lambda: plugin.send_response(asked, value),
        lambda: plugin.send_error(asked, value),
        lambda: plugin.send_notification("log", value),
        lambda: plugin.send_request("host.echo", value),
    ):
        with pytest.raises(NotEncodable, match="the key"):
            send()
    assert pair.to_host(plugin.send_response(asked, 1)) == [ResponseReceived(asked, 1)]
    asked, data = plugin.send_request("host.echo", {})
    pair.to_host(data)
    with pytest.raises(NotEncodable, match="the key"):
        host.send_response(asked, value)


@pytest.mark.parametrize("value", [KEY, [KEY], {"a": {"b": [KEY]}}], ids=repr)
def test_value_can_be_surveyed_before_it_is_sent(value: Any) -> None:
    with pytest.raises(NotEncodable, match="the key"):
        ConnectionPair().host.survey(value)


def test_survey_ends_for_a_value_in_itself() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(NotEncodable, match="nested deeper"):
        ConnectionPair().host.survey(circle)


def test_survey_leaves_to_the_encoder_what_msgpack_cannot_carry() -> None:
    pair = ConnectionPair().initialize()
    pair.host.survey({"x": [{1, 2}]})
    with pytest.raises(NotEncodable, match="cannot carry"):
        pair.host.send_request("command.call", {"x": [{1, 2}]})


def test_foreign_peer_has_limits_of_its_own() -> None:
    encode({(1, 2): [[]] * (MESSAGE_CONTAINERS + 1)}, foreign=True)
