"""What leaves: messages as msgpack, or a refusal that says which part of it cannot travel."""

from __future__ import annotations

import datetime
import decimal
import enum
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.errors import LocalProtocolError, MessageTooLarge, NotEncodable
from plugin_host_sdk.protocol import MESSAGE_BYTES, RESPONSE
from plugin_host_sdk.wire import Decoder, Encoder, ExtType, Timestamp

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.builds(ExtType, st.integers(0, 127), st.binary())
    | st.builds(Timestamp, st.integers(-(2**63), 2**63 - 1), st.integers(0, 10**9 - 1))
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 9), inner),
    max_leaves=15,
)

SURROGATE = "text that is not Unicode: surrogates not allowed at 0"


class Opaque:
    """A value of an author's own."""


class Colour(enum.Enum):
    RED = 1


class Secretive:
    """A value that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def response(result: Any) -> list[Any]:
    return [RESPONSE, 1, None, result]


def refusal(result: Any, **options: Any) -> str:
    """The text of the refusal to send `result`."""
    with pytest.raises(NotEncodable) as raised:
        Encoder(**options).encode(response(result))
    assert isinstance(raised.value, LocalProtocolError)
    return str(raised.value)


@given(values)
def test_message_is_plain_msgpack_and_arrives_as_it_was_sent(value: Any) -> None:
    data = Encoder().encode(response(value))
    assert data == msgpack.packb(response(value))
    assert Decoder().feed(data) == [response(value)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Opaque(), "the value: msgpack cannot carry a tests.sdk.test_wire_encoder.Opaque"),
        ({1, 2}, "the value: msgpack cannot carry a builtins.set: make a list of it"),
        ((one for one in "ab"), "the value: msgpack cannot carry a builtins.generator: make a list of it"),
        ({"a": [1, {"b": 1j}]}, "a[1].b: msgpack cannot carry a builtins.complex"),
        ([[], [[1j]]], "[1][0][0]: msgpack cannot carry a builtins.complex"),
        ({"first": {1}, "second": 1j}, "first: msgpack cannot carry a builtins.set: make a list of it"),
        ([{1}, 1j], "[0]: msgpack cannot carry a builtins.set: make a list of it"),
        ((1, 2, {3}), "[2]: msgpack cannot carry a builtins.set: make a list of it"),
        ({"a": {5: 1j}}, "a.5: msgpack cannot carry a builtins.complex"),
        ({"a": {1j: 5}}, "key 1j of a: msgpack cannot carry a builtins.complex"),
        ({frozenset(): 5}, "key frozenset() of the value: msgpack cannot carry a builtins.frozenset"),
        ({"big": 2**64}, "big: an integer of 65 bits does not fit into 64"),
        ({"big": -(2**63) - 1}, "big: an integer of 64 bits and a sign does not fit into 64"),
        ({"big": 1 << 20000}, "big: an integer of 20001 bits does not fit into 64"),
        ({"name": "\udcff"}, "name: " + SURROGATE),
        ({"\ud800": 1}, "key '\\ud800' of the value: " + SURROGATE),
        ({"k" * 500: 1j}, "k" * 99 + "…: msgpack cannot carry a builtins.complex"),
    ],
    ids=lambda value: value.partition(":")[0] if isinstance(value, str) else "",
)
def test_refusal_says_where_the_value_lies_and_why(value: Any, text: str) -> None:
    assert refusal(value) == f"cannot send {text}"


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (datetime.datetime(2024, 2, 29), "datetime.datetime: make a text of it with isoformat()"),
        (datetime.timedelta(days=1), "datetime.timedelta: make a number of it with total_seconds()"),
        (decimal.Decimal("1.5"), "decimal.Decimal: make a text of it with str()"),
        (Path("/tmp"), "PosixPath: make a text of it with str()"),
        (Colour.RED, "test_wire_encoder.Colour: give its value"),
        (frozenset({1}), "builtins.frozenset: make a list of it"),
        (range(3), "builtins.range: make a list of it"),
        ({}.values(), "builtins.dict_values: make a list of it"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_refusal_says_what_to_make_of_a_value_of_the_standard_library(value: Any, advice: str) -> None:
    assert refusal(value).endswith(advice)


def test_key_that_cannot_be_shown_is_named_by_its_type() -> None:
    assert "key a Secretive of the value: msgpack cannot carry" in refusal({Secretive(): 1})


def test_list_in_itself_is_refused() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    assert "nested deeper than 1000 levels, or in itself" in refusal(circle)


def test_map_in_itself_is_refused() -> None:
    circle: dict[str, Any] = {"a": 1}
    circle["self"] = circle
    assert refusal(circle).startswith("cannot send self.self.self")


def test_default_converts_what_msgpack_does_not_know() -> None:
    encoder = Encoder(default=lambda value: [str(value)])
    (message,) = Decoder().feed(encoder.encode(response({"day": datetime.date(2024, 2, 29)})))
    assert message == response({"day": ["2024-02-29"]})


def dates_only(value: Any) -> Any:
    if isinstance(value, datetime.date):
        return {"date": str(value)}
    raise TypeError("no date")


def test_what_default_can_convert_is_not_blamed() -> None:
    text = refusal({"day": datetime.date(2024, 2, 29), "other": Opaque()}, default=dates_only)
    assert text.startswith("cannot send other: msgpack cannot carry a")


def test_default_whose_result_cannot_travel_is_refused() -> None:
    assert "cannot send x[0]: msgpack cannot carry a builtins.set: make a list of it" in refusal(
        {"x": Opaque()}, default=lambda value: [{1}] if isinstance(value, Opaque) else dates_only(value)
    )


def test_default_that_never_ends_is_refused() -> None:
    assert "nested deeper" in refusal({"x": Opaque()}, default=lambda _: Opaque())


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError(), ZeroDivisionError("division by zero")])
def test_default_that_raises_is_a_refusal(error: Exception) -> None:
    def broken(_value: object) -> object:
        raise error

    assert "msgpack cannot carry" in refusal(Opaque(), default=broken)


def test_lack_of_memory_is_no_fault_of_the_value() -> None:
    def greedy(_value: object) -> object:
        raise MemoryError

    with pytest.raises(MemoryError):
        Encoder(default=greedy).encode(response(Opaque()))


def test_reason_without_a_place_is_that_of_the_encoder() -> None:
    assert refusal(memoryview(b"abcd")[::2]).startswith("cannot send the value: ")


def test_encoder_works_on_after_a_refusal() -> None:
    encoder = Encoder()
    for bad in (Opaque(), {"x": ["y" * 100_000, 1j]}, 2**70):
        with pytest.raises(NotEncodable):
            encoder.encode(response(bad))
        assert encoder.encode(response(1)) == msgpack.packb(response(1))


def test_message_of_the_limit_is_sent_and_one_byte_more_is_refused() -> None:
    encoder = Encoder(1000)
    overhead = len(encoder.encode(response(b"x" * 300))) - 300
    data = encoder.encode(response(b"x" * (1000 - overhead)))
    assert len(data) == 1000
    assert len(Decoder(1000).feed(data)) == 1
    with pytest.raises(MessageTooLarge, match=r"1001 bytes is over the peer's limit of 1000"):
        encoder.encode(response(b"x" * (1001 - overhead)))
    assert encoder.encode(response(1)) == msgpack.packb(response(1))


def test_limit_is_16_mib_when_nobody_says_otherwise() -> None:
    encoder = Encoder()
    overhead = len(encoder.encode(response(b"x" * 70_000))) - 70_000
    assert len(encoder.encode(response(b"x" * (MESSAGE_BYTES - overhead)))) == 16 * 1024 * 1024
    with pytest.raises(MessageTooLarge):
        encoder.encode(response(b"x" * (MESSAGE_BYTES - overhead + 1)))


def test_text_that_is_not_unicode_goes_to_foreign_peers_as_it_came() -> None:
    data = msgpack.packb([2, "x", [b"caf\xe9"]], use_bin_type=False)
    (message,) = Decoder(foreign=True).feed(data)
    assert message == [2, "x", ["caf\udce9"]]
    assert Encoder(foreign=True).encode(message) == data
    assert "surrogates not allowed at 0" in refusal("\ud800", foreign=True)


@pytest.mark.parametrize("inmost", [[], {}], ids=["list", "map"])
def test_what_is_nested_deeper_than_a_decoder_reads_is_refused(inmost: Any) -> None:
    def nested(levels: int) -> Any:
        value = inmost
        for _ in range(levels - 1):
            value = [value]
        return value

    encoder = Encoder()
    for levels in (1, 1000, 1020):
        encoder.survey(nested(levels))
    for levels in (1021, 1024, 1100):
        with pytest.raises(NotEncodable, match="nested deeper than 1020 levels"):
            encoder.survey(nested(levels))
