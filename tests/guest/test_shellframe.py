"""Frames of a shell, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from plugin_host.errors import RemoteProtocolError
from plugin_host.guest.shellframe import (
    BLOCK_BYTES,
    MESSAGE_BYTES,
    STDIN,
    STDOUT,
    WINDOW_BYTES,
    Abort,
    Ack,
    Data,
    Exit,
    Frame,
    Size,
    decode,
    encode,
)

EXACT: list[tuple[Frame, bytes]] = [
    (Data(STDIN, b"hi"), b"\x00\x00hi"),
    (Data(STDOUT), b"\x00\x01"),
    (Ack(STDOUT, 5), b"\x01\x01\x00\x00\x00\x05"),
    (Ack(STDIN, 2**32 - 1), b"\x01\x00\xff\xff\xff\xff"),
    (Size(cols=132, rows=50), b"\x03\x00\x84\x00\x32"),
    (Abort(), b"\x04"),
    (Exit(0), b"\x05\x00"),
    (Exit(1), b"\x05\x01"),
]


def test_limits_are_those_that_guests_were_written_for() -> None:
    assert (BLOCK_BYTES, MESSAGE_BYTES, WINDOW_BYTES) == (16 * 1024, 20 * 1024, 64 * 1024)


@pytest.mark.parametrize(("frame", "message"), EXACT, ids=repr)
def test_frames_have_their_bytes(frame: Frame, message: bytes) -> None:
    assert encode(frame) == message
    assert decode(message) == frame


def test_kinds_that_are_not_known_are_no_frames() -> None:
    assert decode(b"\x02") is None
    assert decode(b"\x06more") is None


@given(some.binary(max_size=16))
def test_any_message_is_a_frame_or_none_or_an_error(message: bytes) -> None:
    try:
        frame = decode(message)
    except RemoteProtocolError:
        return
    if frame is not None and not isinstance(frame, Abort):
        assert encode(frame) == message
