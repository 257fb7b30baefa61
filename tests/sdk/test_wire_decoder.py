"""What arrives: messages from bytes in any portions, or one refusal and then nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.errors import RemoteProtocolError
from plugin_host_sdk.protocol import CONTAINER_ITEMS, MESSAGE_CONTAINERS
from plugin_host_sdk.wire import Decoder, ExtType, Timestamp

KIB = 1024
PORTIONS = [1, 7, 4096, 65_535, 65_536, 65_537, 1 << 30]
"""Sizes of reads; the decoder itself takes slices of 64 KiB."""

in_portions = pytest.mark.parametrize("portion", PORTIONS)
in_large_portions = pytest.mark.parametrize("portion", PORTIONS[2:])


def portions(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def feed(decoder: Decoder, parts: Iterable[bytes]) -> list[Any]:
    return [message for part in parts for message in decoder.feed(part)]


def refusal(decoder: Decoder, parts: Iterable[bytes]) -> str:
    """The text of the refusal that these bytes end in; no message comes of them."""
    assert feed(decoder, parts) == []
    assert type(decoder.error) is RemoteProtocolError
    return str(decoder.error)


@in_portions
def test_messages_come_out_whatever_the_portions(portion: int) -> None:
    messages = [[0, i, "demo", [{"n": "x" * i}]] for i in range(300)]
    data = b"".join(map(msgpack.packb, messages))
    decoder = Decoder()
    assert feed(decoder, portions(data, portion)) == messages
    assert decoder.error is None
    assert decoder.pending == 0


@in_portions
def test_large_messages_between_small_ones_come_out_whole_and_in_order(portion: int) -> None:
    sizes = [0, 34_450, 5, 65_500, 131_072, 1]
    messages = [[1, i, None, [size, b"x" * size, {"tail": [i]}]] for i, size in enumerate(sizes)]
    data = b"".join(map(msgpack.packb, messages))
    assert feed(Decoder(), portions(data, portion)) == messages


@pytest.mark.parametrize("head", [[0, 1, "x"], [2, "x"]], ids=["request", "notification"])
@pytest.mark.parametrize(("value", "size"), [("bytes", 256 * KIB), ("list", 64 * KIB)])
def test_time_for_a_message_grows_with_its_size_and_not_with_its_square(
    head: list[Any], value: str, size: int
) -> None:
    """16 times as many reads of 4 KiB, which would take 256 times as long."""

    def cpu_s(size: int) -> float:
        inner = bytes(size) if value == "bytes" else ["seven.."] * (size // 8)
        parts = list(portions(msgpack.packb([*head, [inner]]), 4096))
        decoder = Decoder()
        began = time.thread_time()
        (message,) = feed(decoder, parts)
        took = time.thread_time() - began
        assert len(message[-1][0]) == len(inner)
        return took

    small, large = (min(cpu_s(factor * size) for _ in range(3)) for factor in (1, 16))
    assert large < 64 * small


@pytest.mark.parametrize("portion", [4096, 65_536, 1 << 30])
@pytest.mark.parametrize("size", [200_000, 5_000_000])
def test_many_small_messages_behind_a_large_one_come_out(size: int, portion: int) -> None:
    messages: list[list[Any]] = [[1, 0, None, b"x" * size]] + [[1, n, None, [n]] for n in range(500)]
    data = b"".join(map(msgpack.packb, messages)) * 2
    decoder = Decoder()
    assert feed(decoder, portions(data, portion)) == messages * 2
    assert decoder.pending == 0


@given(st.lists(st.lists(st.integers() | st.binary(max_size=99), max_size=5), max_size=9), st.data())
def test_messages_come_out_of_random_portions(messages: list[list[Any]], data: st.DataObject) -> None:
    messages = [[2, "x", [repr(message)]] for message in messages]
    packed = b"".join(map(msgpack.packb, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(packed)), max_size=9)))
    parts = [packed[a:b] for a, b in zip([0, *cuts], [*cuts, len(packed)], strict=True)]
    assert feed(Decoder(), parts) == messages


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size", [10, 200_000])
def test_bytes_may_be_given_in_any_kind_of_buffer(kind: Callable[[bytes], Any], size: int) -> None:
    message = [2, "x", [b"y" * size]]
    assert Decoder().feed(kind(msgpack.packb(message))) == [message]


@pytest.mark.parametrize("size", [10, 30_000, 50_000, 100_000, 300_000])
def test_buffer_may_be_used_again_after_feeding(size: int) -> None:
    message = [2, "x", [b"".join(at.to_bytes(4, "big") for at in range(size // 4)), [1, 2, 3]]]
    data = msgpack.packb(message)
    decoder, buffer = Decoder(), bytearray(5000)
    messages = []
    for part in portions(data, 5000):
        buffer[: len(part)] = part
        messages += decoder.feed(memoryview(buffer)[: len(part)])
        buffer[:] = b"\xc1" * 5000
    assert messages == [message]


def test_no_bytes_make_no_message() -> None:
    decoder = Decoder()
    assert decoder.feed(b"") == []
    assert decoder.feed(b"\x93\x02") == []
    assert decoder.feed(b"") == []
    assert decoder.pending == 2


@in_portions
def test_pending_says_how_much_of_a_message_has_arrived(portion: int) -> None:
    first, second = msgpack.packb([1, 2, b"x" * 100]), msgpack.packb([3, 4, b"y" * 150_000])[:-1]
    decoder = Decoder()
    feed(decoder, portions(first + second, portion))
    assert decoder.pending == len(second)
    assert len(decoder.feed(b"y")) == 1
    assert decoder.pending == 0


def test_all_that_msgpack_can_say_comes_through() -> None:
    values = [
        *(None, True, False, 0, 127, -32, 2**63, 2**64 - 1, -(2**63), 1.5, "text", b"bytes", "文" * 200),
        *([], {}, [[{}]], {1: 2, None: 3, "k": {b"k": 4, True: 5, 1.5: 6}}),
        *(ExtType(5, b"x"), ExtType(127, b""), Timestamp(5, 6), {ExtType(1, b"k"): 1}),
    ]
    assert Decoder().feed(msgpack.packb(values)) == [values]


# Refusals.


@in_portions
@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"\x93\x02\xc1",
        b"\x91\x81\x90\x01",
        b"\x91\x81\x80\x01",
        b"\x91\xa2\xff\xfe",
        b"\x91\x81\xa1\xff\x01",
        b"\x91" * 1100 + b"\x90",
        b"\x81\x01" * 1100 + b"\x90",
        b"\x91\xd6\xff\xff\xff\xff\xff\xc1",
        b"\x91\xc7\x05\xff12345",
        b"\x91\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ],
    ids=lambda data: repr(data[:12]),
)
def test_bytes_that_are_no_message_are_refused(data: bytes, portion: int) -> None:
    decoder = Decoder()
    good = msgpack.packb([2, "x", []])
    assert feed(decoder, portions(good + data + good, portion))[:1] == [[2, "x", []]]
    assert decoder.error is not None
    assert str(decoder.error).startswith("the peer sent bytes that are no message: ")


def test_nothing_is_decoded_after_a_refusal() -> None:
    decoder = Decoder()
    good = msgpack.packb([2, "x", []])
    assert decoder.feed(good + b"\xc1" + good) == [[2, "x", []]]
    error = decoder.error
    for data in (good, good * 50_000, b"\xc1", b""):
        assert decoder.feed(data) == []
    assert decoder.error is error


def test_message_over_the_limit_is_refused_before_its_end() -> None:
    decoder = Decoder(2000)
    assert decoder.feed(b"\xc6\x00\x01\x00\x00" + bytes(1995)) == []
    assert decoder.error is None
    assert refusal(decoder, [b"x"]) == "the peer sent a message of more than 2000 bytes"


def test_text_of_a_foreign_peer_need_not_be_utf8() -> None:
    assert Decoder(foreign=True).feed(b"\x91\xa2\xff\xfe") == [["\udcff\udcfe"]]


@in_large_portions
@pytest.mark.parametrize("limit", [1000, 34_463, 34_464, 65_536, 200_000])
def test_message_of_the_limit_passes_and_one_byte_more_does_not(limit: int, portion: int) -> None:
    just = b"\x92\x01\xc6" + (limit - 7).to_bytes(4, "big") + b"x" * (limit - 7)
    over = b"\x92\x01\xc6" + (limit - 6).to_bytes(4, "big") + b"x" * (limit - 6)
    assert (len(just), len(over)) == (limit, limit + 1)
    decoder = Decoder(limit)
    assert len(feed(decoder, portions(just * 2, portion))) == 2
    text = refusal(decoder, portions(over, portion))
    assert text in [f"the peer {how} a message of more than {limit} bytes" for how in ("sent", "announced")]


def test_limit_holds_byte_by_byte() -> None:
    just, over = msgpack.packb([b"x" * 97]), msgpack.packb([b"x" * 98])
    assert len(feed(Decoder(100), portions(just, 1))) == 1
    assert "more than 100 bytes" in refusal(Decoder(100), portions(over, 1))


@pytest.mark.parametrize(
    ("before", "portion"), [(0, 65_536), (0, 1 << 30), (30_000, 65_535), (150_000, 4096)]
)
@pytest.mark.parametrize(
    "container",
    [b"\x90", b"\x80", b"\x91\x90", b"\x81\xc0\x80", b"\x93\xc0\xc0\xc0", b"\xd4\x05x"],
    ids=["lists", "maps", "pairs of lists", "pairs of maps", "small lists", "extension values"],
)
def test_containers_of_one_message_are_counted(container: bytes, before: int, portion: int) -> None:
    each = 2 if container in (b"\x91\x90", b"\x81\xc0\x80") else 1
    inner = (MESSAGE_CONTAINERS - 1) // each  # one more is the list around them
    prefix = b"\xc6" + before.to_bytes(4, "big") + bytes(before)
    just = b"\xdd" + (inner + 1).to_bytes(4, "big") + prefix + container * inner
    over = b"\xdd" + (inner + 2).to_bytes(4, "big") + prefix + container * (inner + 1)
    decoder = Decoder()
    assert len(feed(decoder, portions(just, portion))) == 1
    text = refusal(decoder, portions(over, portion))
    assert text.endswith("more than 100000 lists, maps and extension values in one message")


@pytest.mark.parametrize("first", [0, 200_000], ids=["", "behind a large one"])
def test_containers_of_many_messages_are_not_added_up(first: int) -> None:
    data = msgpack.packb([b"x" * first]) + msgpack.packb([[]] * 30_000) * 10
    decoder = Decoder()
    assert len(feed(decoder, portions(data, 10_000))) == 11
    assert decoder.error is None


@pytest.mark.parametrize("count", [CONTAINER_ITEMS, CONTAINER_ITEMS + 1])
def test_longest_list_of_a_message(count: int) -> None:
    decoder = Decoder()
    data = b"\xdd" + count.to_bytes(4, "big") + b"\xc0" * count
    if count > CONTAINER_ITEMS:
        assert "max_array_len" in refusal(decoder, [data])
    else:
        assert len(decoder.feed(data)[0]) == count


@pytest.mark.parametrize("count", [MESSAGE_CONTAINERS, MESSAGE_CONTAINERS + 1])
def test_longest_map_of_a_message(count: int) -> None:
    decoder = Decoder()
    data = b"\xdf" + count.to_bytes(4, "big")
    data += b"".join(b"\xce" + key.to_bytes(4, "big") + b"\xc0" for key in range(count))
    if count > MESSAGE_CONTAINERS:
        assert "max_map_len" in refusal(decoder, [data])
    else:
        assert len(decoder.feed(data)[0]) == count


# What begins with a size that no message has.

FOUR_GIB = {
    "bytes": b"\xc6\xff\xff\xff\xff",
    "text": b"\xdb\xff\xff\xff\xff",
    "extension": b"\xc9\xff\xff\xff\xf0",
}


@pytest.mark.parametrize("portion", [1, 3, 1 << 30])
@pytest.mark.parametrize("before", [b"", b"\x94\x01\x07\xc0", b"\x93\x02\xabstream.data\x93\x02\x00"])
@pytest.mark.parametrize("header", FOUR_GIB.values(), ids=FOUR_GIB)
def test_header_alone_of_a_value_beyond_the_limit_is_refused(
    header: bytes, before: bytes, portion: int
) -> None:
    decoder = Decoder()
    assert feed(decoder, [msgpack.packb([1, 2, None, 3])]) == [[1, 2, None, 3]]
    text = refusal(decoder, portions(before + header, portion))
    assert text == f"the peer announced a message of more than {decoder.limit} bytes"


def test_header_counts_with_what_its_message_has_before_it() -> None:
    just, over = (
        b"\x92\xc4\x0a" + bytes(10) + b"\xc6" + size.to_bytes(4, "big") for size in (99_982, 99_983)
    )
    decoder = Decoder(100_000)
    assert (feed(decoder, [just]), decoder.error) == ([], None)
    assert "announced" in refusal(Decoder(100_000), [over])


@pytest.mark.parametrize("portion", [1000, 65_536])
def test_header_far_inside_a_message_is_refused_before_the_limit(portion: int) -> None:
    data = b"\x92\xc6" + (300_000).to_bytes(4, "big") + bytes(300_000) + FOUR_GIB["bytes"] + bytes(65_537)
    assert "announced" in refusal(Decoder(), portions(data, portion))


DECOYS = [
    msgpack.packb([FOUR_GIB["bytes"], 1, FOUR_GIB["text"] * 3, 2.5]),
    msgpack.packb({"a": FOUR_GIB["text"], "b": 2**63, "c": ExtType(5, FOUR_GIB["bytes"])}),
    b"\x92\xc4\x04\xc6\xff\xff\xff\xcf" + bytes(8),  # a number of 64 bits behind bytes
    b"\x92\xc4\x02\xc6\xff\xc5\x01\x00" + bytes(256),  # bytes with a size of 16 bits
    b"\x92\xc4\x04\xc6\xff\xff\xff\xd9\x05hello",
]


@pytest.mark.parametrize("decoy", DECOYS)
def test_what_only_looks_like_such_a_header_passes_wherever_it_is_cut(decoy: bytes) -> None:
    expected = msgpack.unpackb(decoy, strict_map_key=False)
    for cut in range(1, len(decoy)):
        decoder = Decoder()
        assert feed(decoder, [decoy[:cut], decoy[cut:]]) == [expected]
        assert feed(decoder, portions(decoy, cut)) == [expected]
        assert decoder.error is None


@pytest.mark.parametrize("filler", [100, 300_000])
def test_values_that_look_like_headers_pass_at_the_end_of_every_read(filler: int) -> None:
    value = b"\xc4\x05" + FOUR_GIB["bytes"]
    data = b"\xdc" + (401).to_bytes(2, "big") + msgpack.packb(bytes(filler))
    parts = [data, *[value] * 400]
    decoder = Decoder()
    assert feed(decoder, parts) == [[bytes(filler), *[FOUR_GIB["bytes"]] * 400]]


def test_looking_twice_at_what_looks_like_headers_stays_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, made = Decoder(), 0
    make = decoder._new_unpacker

    def count(self: Decoder, *, counting: bool) -> Any:
        nonlocal made
        made += 1
        return make(counting=counting)

    monkeypatch.setattr(Decoder, "_new_unpacker", count)
    value = b"\xc4\x05" + FOUR_GIB["bytes"]
    feed(decoder, [b"\xdd" + (20_000).to_bytes(4, "big"), *[value] * 10_000])
    assert made < 20
