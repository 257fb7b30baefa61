"""The credit, the ends and the exit of a shell."""

from __future__ import annotations

import pytest

from plugin_host.errors import LocalProtocolError, RemoteProtocolError
from plugin_host.guest.shellframe import BLOCK_BYTES, STDERR, STDOUT, WINDOW_BYTES
from plugin_host.guest.shellstate import Arrived, Credited, Ended, Exited, ShellState


def test_input_is_cut_into_blocks_and_needs_credit() -> None:
    state = ShellState()
    messages = state.send(bytes(WINDOW_BYTES))
    assert [len(message) for message in messages] == [2 + BLOCK_BYTES] * 4
    assert (state.credit, state.sent) == (0, WINDOW_BYTES)
    with pytest.raises(LocalProtocolError, match="credit for 0"):
        state.send(b"x")
    assert state.receive(b"\x01\x00\x00\x00\x00\x01") == [Credited()]
    assert state.send(b"x") == [b"\x00\x00x"]


def test_input_ends_once() -> None:
    state = ShellState()
    assert state.end_input() == [b"\x00\x00"]
    assert state.end_input() == []
    with pytest.raises(LocalProtocolError, match="ended"):
        state.send(b"x")


def test_acknowledgements_of_one_stream_are_one_message() -> None:
    state = ShellState()
    for data in (b"ab", b"cde"):
        assert state.receive(b"\x00\x01" + data) == [Arrived(STDOUT, data)]
        state.consume(STDOUT, len(data))
    state.receive(b"\x00\x02x")
    state.consume(STDERR, 1)
    assert state.acks() == [b"\x01\x01\x00\x00\x00\x05", b"\x01\x02\x00\x00\x00\x01"]
    assert state.acks() == []


def test_window_is_free_again_when_its_acknowledgement_is_made_and_not_before() -> None:
    state = ShellState(window=4)
    state.receive(b"\x00\x01abcd")
    state.consume(STDOUT, 4)
    with pytest.raises(RemoteProtocolError, match="its window has 4"):
        state.receive(b"\x00\x01e")
    state = ShellState(window=4)
    state.receive(b"\x00\x01abcd")
    state.consume(STDOUT, 3)
    state.acks()
    assert state.receive(b"\x00\x01efg") == [Arrived(STDOUT, b"efg")]


def test_windows_of_the_streams_are_apart() -> None:
    state = ShellState(window=4)
    assert state.receive(b"\x00\x01abcd") == [Arrived(STDOUT, b"abcd")]
    assert state.receive(b"\x00\x02abcd") == [Arrived(STDERR, b"abcd")]


def test_empty_data_is_the_end_of_its_stream() -> None:
    state = ShellState()
    assert state.receive(b"\x00\x01") == [Ended(STDOUT)]
    with pytest.raises(RemoteProtocolError, match="behind its end"):
        state.receive(b"\x00\x01x")


def test_exit_ends_what_was_not_ended_and_nothing_counts_behind_it() -> None:
    state = ShellState()
    state.receive(b"\x00\x01")
    assert state.receive(b"\x05\x00") == [Ended(STDERR), Exited(0)]
    for late in (b"\x01\x00\xff\xff\xff\xff", b"\x00\x00x", b"", b"\x05\x01"):
        assert state.receive(late) == []
    assert state.exit == 0


def test_more_cannot_be_consumed_than_came() -> None:
    state = ShellState()
    state.receive(b"\x00\x01ab")
    with pytest.raises(LocalProtocolError, match="never arrived"):
        state.consume(STDOUT, 3)


@pytest.mark.parametrize("message", [b"\x01\x01\x00\x00\x00\x01", b"\x01\x00\x00\x00\x00\x03"])
def test_guest_acknowledges_what_it_was_sent_and_nothing_else(message: bytes) -> None:
    state = ShellState()
    state.send(b"ab")
    with pytest.raises(RemoteProtocolError, match="were not sent"):
        state.receive(message)
