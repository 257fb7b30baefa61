"""Frames by hand: the same as msgpack makes of the same bytes, however they are cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.frame import DATA_HEADER_BYTES, data_header
from plugin_host_sdk.protocol import FRAME_BYTES, FULL_PAYLOAD_BYTES
from plugin_host_sdk.wire import Decoder

pytestmark = pytest.mark.edges

PORTIONS = [1, 7, 38, 4096, 49_152, 65_535, 65_536, 65_562, 1 << 30]

in_portions = pytest.mark.parametrize("portion", PORTIONS)
uints = st.integers(0, 127) | st.integers(0, 2**32) | st.integers(0, 2**64 - 1)
frames = st.builds(
    lambda stream, offset, payload: [2, "stream.data", [stream, offset, payload]],
    uints,
    uints,
    st.binary(max_size=300),
)
others = st.sampled_from(
    [
        [1, 5, None, {"n": 1}],
        [2, "stream.credit", [4, 9]],
        [2, "stream.data", [1, -1, b"x"]],
        [2, "stream.data", ["1", 0, b"x"]],
        [2, "stream.data", [1, 0, "text"]],
        [2, "stream.data", [1, 0]],
        [2, "stream.date", [1, 0, b"x"]],
        [0, 1, "m", [{}]],
    ]
)


def frame(stream: int, offset: int, payload: bytes) -> bytes:
    return data_header(stream, offset, len(payload)) + payload


def fed(decoder: Decoder, data: bytes, portion: int) -> Iterator[Any]:
    for at in range(0, len(data), portion):
        yield from map(as_list, decoder.feed(data[at : at + portion]))


def as_list(message: Any) -> Any:
    """A frame as msgpack has it."""
    return [2, "stream.data", list(message)] if type(message) is tuple else message


@given(st.integers(1, 2**63), st.integers(0, 2**63), st.binary(min_size=1, max_size=100))
def test_header_and_payload_make_one_frame(stream: int, offset: int, payload: bytes) -> None:
    data = frame(stream, offset, payload)
    assert len(data) - len(payload) <= DATA_HEADER_BYTES
    assert Decoder().feed(data) == [(stream, offset, payload)]
    assert msgpack.unpackb(data) == [2, "stream.data", [stream, offset, payload]]


def test_longest_header_is_as_long_as_it_says() -> None:
    assert len(data_header(2**64 - 1, 2**64 - 1, 65536)) == DATA_HEADER_BYTES


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_full_payload_makes_a_frame_of_one_read(stream: int, offset: int) -> None:
    assert len(data_header(stream, offset, FULL_PAYLOAD_BYTES)) + FULL_PAYLOAD_BYTES == FRAME_BYTES


@in_portions
@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_535, 65_536])
def test_frame_of_any_size_comes_out_of_any_portions(size: int, portion: int) -> None:
    decoder, payload = Decoder(), bytes(range(256)) * 256
    data = frame(2, 2**32, payload[:size]) * 3
    assert list(fed(decoder, data, portion)) == [[2, "stream.data", [2, 2**32, payload[:size]]]] * 3
    assert decoder.pending == 0


@given(st.lists(frames | others, max_size=12), st.data())
def test_frames_among_others_are_what_msgpack_makes_of_them(
    messages: list[Any], data: st.DataObject
) -> None:
    packed = b"".join(map(msgpack.packb, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(packed)), max_size=9)))
    decoder, found = Decoder(), list[Any]()
    for start, end in zip([0, *cuts], [*cuts, len(packed)], strict=True):
        found += map(as_list, decoder.feed(packed[start:end]))
        arrived = b"".join(map(msgpack.packb, found))
        assert decoder.pending == end - len(arrived)
    assert found == messages
    assert decoder.error is None


@in_portions
def test_full_frames_behind_answers_come_out_in_order(portion: int) -> None:
    answer, payload = [1, 5, None, {"n": 1}], b"p" * FRAME_BYTES
    data = (msgpack.packb(answer) + frame(2, 0, payload) * 3) * 3
    assert list(fed(Decoder(), data, portion)) == [answer, *[[2, "stream.data", [2, 0, payload]]] * 3] * 3


@in_portions
def test_larger_frame_than_there_may_be_is_left_to_msgpack(portion: int) -> None:
    payload = b"p" * (FRAME_BYTES + 1)
    assert (
        list(fed(Decoder(), frame(2, 0, payload) * 2, portion)) == [[2, "stream.data", [2, 0, payload]]] * 2
    )


@in_portions
def test_frame_beyond_the_limit_of_messages_is_refused(portion: int) -> None:
    decoder = Decoder(1000)
    assert list(fed(decoder, frame(2, 0, bytes(900)) + frame(2, 0, bytes(1000)), portion))[1:] == []
    assert decoder.error is not None
    assert str(decoder.error) == "the peer sent a message of more than 1000 bytes"


def test_payload_is_not_of_the_buffer_that_was_fed() -> None:
    buffer, decoder = bytearray(frame(2, 0, b"first") + frame(2, 5, b"second")), Decoder()
    found = decoder.feed(memoryview(buffer)[:-3])
    last = bytes(buffer[-3:])
    buffer[:] = bytes(len(buffer))
    assert found + decoder.feed(last) == [(2, 0, b"first"), (2, 5, b"second")]
    assert all(type(payload) is bytes for _, _, payload in found)
