"""Credit: never overdrawn by a sender, never lost by a receiver, granted in large pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.errors import LocalProtocolError, RemoteProtocolError
from plugin_host_sdk.window import ReceiveWindow, SendWindow


def test_no_credit_exists_before_it_is_given() -> None:
    window = SendWindow()
    with pytest.raises(LocalProtocolError, match="1 bytes to send and credit for 0"):
        window.spend(1)


def test_credit_can_be_spent_to_the_last_byte() -> None:
    window = SendWindow(10)
    window.spend(4)
    window.spend(6)
    with pytest.raises(LocalProtocolError, match="credit for 0"):
        window.spend(1)


def test_refused_spending_costs_nothing() -> None:
    window = SendWindow(10)
    with pytest.raises(LocalProtocolError, match="11 bytes to send and credit for 10"):
        window.spend(11)
    assert window.credit == 10


def test_grants_add_up() -> None:
    window = SendWindow(10)
    window.add(5)
    window.spend(15)
    window.add(3)
    assert window.credit == 3


@pytest.mark.parametrize("size", [0, -1])
def test_window_that_lets_nothing_through_is_refused(size: int) -> None:
    with pytest.raises(LocalProtocolError, match="would never let anything through"):
        ReceiveWindow(size)


def test_peer_may_send_what_it_has_credit_for() -> None:
    window = ReceiveWindow(100)
    window.receive(60)
    window.receive(40)
    assert window.credit == 0


def test_peer_that_overdraws_breaks_the_protocol() -> None:
    window = ReceiveWindow(100)
    window.receive(60)
    with pytest.raises(RemoteProtocolError, match="the peer sent 41 bytes with credit for 40"):
        window.receive(41)
    assert window.credit == 40


@pytest.mark.parametrize(("size", "half"), [(100, 50), (101, 51), (1, 1), (2, 1), (3, 2)])
def test_grant_is_due_when_half_of_the_window_was_consumed(size: int, half: int) -> None:
    window = ReceiveWindow(size)
    window.receive(size)
    assert window.consume(half - 1) == 0
    assert window.consume(1) == half
    assert window.credit == half


def test_grant_covers_all_that_was_consumed_since_the_last() -> None:
    window = ReceiveWindow(100)
    window.receive(100)
    assert [window.consume(30), window.consume(30), window.consume(30), window.consume(10)] == [0, 60, 0, 0]
    window.receive(60)
    assert window.consume(60) == 100
    assert window.credit == 100


def test_reader_cannot_consume_what_never_arrived() -> None:
    window = ReceiveWindow(100)
    window.receive(10)
    assert window.consume(10) == 0
    with pytest.raises(LocalProtocolError, match="1 bytes consumed that never arrived"):
        window.consume(1)


def test_windows_show_what_they_hold() -> None:
    assert repr(SendWindow(5)) == "SendWindow(credit=5)"
    assert repr(ReceiveWindow(5)) == "ReceiveWindow(size=5, credit=5)"


@given(st.integers(1, 2000), st.lists(st.tuples(st.integers(1, 700), st.integers(0, 900)), max_size=60))
def test_reader_that_keeps_reading_never_stalls_its_sender(size: int, steps: list[tuple[int, int]]) -> None:
    sender, receiver, waiting = SendWindow(size), ReceiveWindow(size), 0
    for wanted, read in steps:
        sent = min(wanted, sender.credit)
        sender.spend(sent)
        receiver.receive(sent)
        waiting += sent
        taken = min(read, waiting)
        sender.add(receiver.consume(taken))
        waiting -= taken
        assert 0 <= sender.credit == receiver.credit <= size
        assert waiting + sender.credit <= size
    sender.add(receiver.consume(waiting))
    assert sender.credit * 2 > size or sender.credit == size
