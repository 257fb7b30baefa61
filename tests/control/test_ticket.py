"""One-time tokens."""

from __future__ import annotations

from plugin_host.control.ticket import TicketTable


def test_a_ticket_is_taken_once() -> None:
    tickets: TicketTable[str] = TicketTable()
    token = tickets.issue("a", 0.0)
    assert tickets.take(token, 1.0) == "a"
    assert tickets.take(token, 1.0) is None


def test_tickets_differ_and_cannot_be_guessed_from_one_another() -> None:
    tickets: TicketTable[int] = TicketTable()
    tokens = {tickets.issue(n, 0.0) for n in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 32


def test_a_ticket_is_void_when_its_time_is_over() -> None:
    tickets: TicketTable[str] = TicketTable(life_s=30.0)
    early, late = tickets.issue("a", 0.0), tickets.issue("b", 0.0)
    assert tickets.take(early, 29.9) == "a"
    assert tickets.take(late, 30.0) is None
    assert len(tickets) == 0


def test_an_unknown_token_takes_nothing() -> None:
    tickets: TicketTable[str] = TicketTable()
    tickets.issue("a", 0.0)
    assert tickets.take("", 0.0) is None
    assert len(tickets) == 1


def test_the_table_is_bounded_and_drops_the_oldest() -> None:
    tickets: TicketTable[int] = TicketTable()
    tokens = [tickets.issue(n, 0.0) for n in range(1030)]
    assert len(tickets) == 1024
    assert tickets.take(tokens[0], 0.0) is None
    assert tickets.take(tokens[-1], 0.0) == 1029
