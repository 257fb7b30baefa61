"""Who may send what, and when: the tables of the protocol, read by both ends alike."""

from __future__ import annotations

import pytest

from plugin_host_sdk.legality import objection
from plugin_host_sdk.protocol import (
    CLOSED,
    ENDED,
    ERRORS,
    FAILED,
    FAMILIES,
    HOST,
    INITIALIZING,
    LEGAL,
    METHODS,
    NOTIFICATION,
    OPENING,
    PEER_OF,
    PLUGIN,
    READY,
    REQUEST,
    STOPPING,
    TRANSITIONS,
)

STATES = (OPENING, INITIALIZING, READY, STOPPING, CLOSED, FAILED)
OTHER_KIND = {REQUEST: NOTIFICATION, NOTIFICATION: REQUEST}


def test_every_state_has_its_moves_and_its_methods() -> None:
    assert set(TRANSITIONS) == set(LEGAL) == set(STATES)


def test_moves_lead_to_states_that_exist() -> None:
    assert {target for moves in TRANSITIONS.values() for target in moves.values()} <= set(STATES)


def test_every_state_is_reached_from_the_first_and_every_life_can_end() -> None:
    reached, new = set(), {OPENING}
    while new:
        reached |= new
        new = {target for state in new for target in TRANSITIONS[state].values()} - reached
    assert reached == set(STATES)
    for state in set(STATES) - ENDED:
        assert TRANSITIONS[state]["eof"] == CLOSED
        assert TRANSITIONS[state]["fail"] == FAILED


def test_ended_states_are_those_without_a_way_out() -> None:
    assert {state for state, moves in TRANSITIONS.items() if not moves} == ENDED


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("sender", [HOST, PLUGIN])
@pytest.mark.parametrize("method", METHODS)
def test_method_is_legal_exactly_as_the_tables_say(method: str, sender: str, state: str) -> None:
    senders, kind = METHODS[method]
    legal = LEGAL[state]
    in_state = method in legal if legal is not None else method != "initialize"
    assert (objection(state, sender, method, kind) is None) == (in_state and sender in senders)
    assert objection(state, sender, method, OTHER_KIND[kind]) is not None


@pytest.mark.parametrize("family", FAMILIES)
def test_family_is_for_its_side_alone(family: str) -> None:
    for sender in (HOST, PLUGIN):
        may = sender in FAMILIES[family]
        for kind in (REQUEST, NOTIFICATION):
            assert (objection(READY, sender, family + "anything", kind) is None) == may


@pytest.mark.parametrize(
    "method", ["demo", "demo.x", "", ".", "pings", "stream", "stream.unheard_of", "文"]
)
@pytest.mark.parametrize("kind", [REQUEST, NOTIFICATION])
def test_methods_that_no_table_knows_may_be_sent(method: str, kind: int) -> None:
    for sender in (HOST, PLUGIN):
        assert objection(READY, sender, method, kind) is None
        assert objection(OPENING, sender, method, kind) is not None


def test_initialize_is_for_the_beginning_alone() -> None:
    may = {state for state in STATES if objection(state, HOST, "initialize", REQUEST) is None}
    assert may == {OPENING}


def test_failure_may_be_told_until_the_connection_is_closed() -> None:
    may = {state for state in STATES if objection(state, PLUGIN, "failure", NOTIFICATION) is None}
    assert may == set(STATES) - {CLOSED}


@pytest.mark.parametrize(
    ("state", "sender", "method", "kind", "text"),
    [
        (OPENING, HOST, "ping", REQUEST, "ping cannot be sent by the host while the connection is opening"),
        (
            CLOSED,
            PLUGIN,
            "log",
            NOTIFICATION,
            "log cannot be sent by the plugin while the connection is closed",
        ),
        (READY, PLUGIN, "shutdown", REQUEST, "shutdown is not for the plugin to send"),
        (READY, PLUGIN, "command.call", REQUEST, "command.call is not for the plugin to send"),
        (READY, HOST, "ping", NOTIFICATION, "ping was sent as the wrong kind of message"),
    ],
)
def test_objection_says_why(state: str, sender: str, method: str, kind: int, text: str) -> None:
    assert objection(state, sender, method, kind) == text


def test_a_sender_with_a_name_of_its_own_is_called_by_it() -> None:
    assert objection(READY, HOST, "log", NOTIFICATION, "client") == "log is not for the client to send"


@pytest.mark.parametrize("method", ["command." + "x" * 10**6, "x" * 10**6])
def test_objection_to_a_long_name_is_short(method: str) -> None:
    state = READY if method.startswith("command") else OPENING
    sender = PLUGIN if state is READY else HOST
    assert 0 < len(objection(state, sender, method, REQUEST) or "") < 200


def test_tables_of_the_protocol_agree() -> None:
    assert PEER_OF == {HOST: PLUGIN, PLUGIN: HOST}
    for method, (senders, kind) in METHODS.items():
        assert senders
        assert senders <= {HOST, PLUGIN}
        assert kind in (REQUEST, NOTIFICATION)
        family = FAMILIES.get(method[: method.find(".") + 1])
        assert family is None or senders <= family or method in ("command.changed", "command.split")
    assert all(name.count(".") == 1 for name in ERRORS)
