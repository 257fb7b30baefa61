"""What an action waits for, and what a reply to it has to be."""

from __future__ import annotations

import pytest

from plugin_host.errors import InvalidPayload, MethodNotAllowed, ResourceConflict, UnknownActionId
from plugin_host.guest.action import KINDS, Action
from plugin_host.guest.actiontable import TRANSITIONS, ActionTable, Reply

POST = Reply("POST")
JSON = Reply("POST", "application/json")
UPGRADE = Reply("GET", is_upgrade=True)


def table(*types: str) -> ActionTable:
    """Actions named by their types, all added at 0; 30 s to be taken and 10 s to be answered."""
    made = ActionTable(30.0, 10.0)
    for kind in types:
        made.add(Action(id=kind, type=kind), 0.0)
    return made


def deadline(made: ActionTable) -> float | None:
    return made.deadline


def test_oldest_goes_first_and_to_one_poll() -> None:
    made = table("get-artifact", "list-folder")
    first, second = made.take(1.0), made.take(1.0)
    assert first is not None
    assert second is not None
    assert (first.id, second.id) == ("get-artifact", "list-folder")
    assert made.take(1.0) is None


def test_what_a_lost_poll_took_goes_to_the_next() -> None:
    made = table("get-artifact")
    assert made.take(1.0) is not None
    assert made.give_back("get-artifact", 2.0)
    assert made.has_waiting
    assert made.deadline == 32.0
    assert made.take(3.0) is not None


def test_what_was_answered_is_not_given_back() -> None:
    made = table("get-artifact")
    made.take(1.0)
    made.begin("get-artifact", POST)
    assert not made.give_back("get-artifact", 2.0)
    made.remove("get-artifact")
    assert not made.give_back("get-artifact", 2.0)


@pytest.mark.parametrize(
    ("kind", "reply", "refusal"),
    [
        ("get-artifact", Reply("GET"), MethodNotAllowed),
        ("get-artifact", Reply("PUT"), MethodNotAllowed),
        ("get-artifact", UPGRADE, MethodNotAllowed),
        ("kill-process", Reply("GET"), MethodNotAllowed),
        ("list-folder", POST, InvalidPayload),
        ("list-folder", Reply("POST", "text/plain"), InvalidPayload),
        ("list-folder", Reply("POST", "application/json-seq; charset=utf-8"), InvalidPayload),
        ("exec-shell", POST, MethodNotAllowed),
        ("exec-shell", Reply("GET"), InvalidPayload),
        ("exec-shell", Reply("GET", error="not-supported"), InvalidPayload),
    ],
)
def test_wrong_reply_leaves_the_action_as_it_was(kind: str, reply: Reply, refusal: type[Exception]) -> None:
    made = table(kind)
    made.take(1.0)
    with pytest.raises(refusal):
        made.begin(kind, reply)
    good = {"list-folder": JSON, "exec-shell": UPGRADE}.get(kind, POST)
    assert made.begin(kind, good).type == kind


@pytest.mark.parametrize("given", ["application/json; charset=utf-8", "Application/JSON ;q=1"])
def test_parameters_of_a_type_do_not_count(given: str) -> None:
    assert table("list-folder").begin("list-folder", Reply("POST", given)).type == "list-folder"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_refused_in_one_way(kind: str) -> None:
    made = table(kind)
    assert made.begin(kind, Reply("POST", error="not-supported")).type == kind


def test_one_reply_at_a_time() -> None:
    made = table("get-artifact")
    made.begin("get-artifact", POST)
    with pytest.raises(ResourceConflict):
        made.begin("get-artifact", POST)
    made.fail("get-artifact", 5.0)
    assert made.deadline == 15.0
    made.begin("get-artifact", POST)


def test_unknown_and_answered_are_told_alike() -> None:
    made = table("get-artifact")
    made.remove("get-artifact")
    for name in ("get-artifact", "other", ""):
        with pytest.raises(UnknownActionId):
            made.begin(name, POST)


def test_time_passes_but_for_a_reply_that_has_begun() -> None:
    made = table("get-artifact", "list-folder", "kill-process")
    made.take(20.0)
    made.begin("list-folder", JSON)
    assert made.deadline == 30.0
    assert [(one.id, state) for one, state in made.expire(29.9)] == []
    assert [(one.id, state) for one, state in made.expire(30.0)] == [
        ("get-artifact", "taken"),
        ("kill-process", "waiting"),
    ]
    assert [one.id for one in made] == ["list-folder"]
    assert deadline(made) is None
    made.fail("list-folder", 100.0)
    assert deadline(made) == 110.0
    assert len(made.expire(110.0)) == 1
    assert len(made) == 0


def test_every_state_leads_to_states_that_there_are() -> None:
    assert {there for moves in TRANSITIONS.values() for there in moves.values()} == set(TRANSITIONS)
