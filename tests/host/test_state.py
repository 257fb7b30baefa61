"""The states of a plugin, the one table of moves, and the one function that makes them."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import pytest

from plugin_host.candidate import Candidate
from plugin_host.errors import ManifestError
from plugin_host.event import StateChanged
from plugin_host.manifest import decode
from plugin_host.plugin import Plugin
from plugin_host.state import MOVES, State

MANIFEST = decode(b'{"id": "demo", "version": "1.0.0", "launch": {"argv": ["x"]}}', file="demo")


def demo(told: list[StateChanged] | None = None) -> Plugin:
    candidate = Candidate(id="demo", source="folder /demo", manifest=MANIFEST, root=Path("/demo"))
    return Plugin(candidate, (told if told is not None else []).append)


def test_every_state_has_its_moves() -> None:
    assert set(MOVES) == set(State)
    assert all(moves <= set(State) for moves in MOVES.values())


def test_every_state_is_reached_and_none_is_a_trap() -> None:
    reached = {State.DISCOVERED}
    while (more := reached.union(*(MOVES[state] for state in reached))) != reached:
        reached = more
    assert reached == set(State)
    assert all(State.STARTING in MOVES[state] or MOVES[state] for state in State)


def test_no_state_moves_to_itself() -> None:
    assert [state for state in State if state in MOVES[state]] == []


@pytest.mark.parametrize(("old", "new"), list(itertools.product(State, State)))
def test_move_is_made_and_told_or_refused(old: State, new: State) -> None:
    told: list[StateChanged] = []
    plugin = demo(told)
    plugin.state = old
    plugin.pid = 42
    if new in MOVES[old]:
        plugin.move(new, "why")
        assert plugin.state is new
        assert told == [StateChanged(plugin="demo", old=old, new=new, reason="why", pid=42)]
    else:
        with pytest.raises(ValueError, match=f"cannot go from {old} to {new}"):
            plugin.move(new)
        assert plugin.state is old
        assert told == []


def test_move_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="plugin_host"):
        demo().move(State.STARTING, "asked for")
    assert caplog.messages == ["plugin demo: discovered -> starting (asked for)"]


def test_state_is_a_word() -> None:
    assert f"{State.READY}" == "ready"
    assert State("failed") is State.FAILED


def test_plugin_tells_who_it_is() -> None:
    plugin = demo()
    assert repr(plugin) == "<Plugin demo 1.0.0 discovered>"
    plugin.pid = 7
    assert repr(plugin) == "<Plugin demo 1.0.0 discovered pid=7>"
    assert (plugin.source, plugin.is_raw, plugin.commands) == ("folder /demo", False, [])


def test_broken_plugin_has_its_reason_and_no_version() -> None:
    error = ManifestError("broken")
    plugin = Plugin(Candidate(id="demo", source="here", error=error), lambda _: None)
    assert (plugin.error, plugin.version, plugin.is_raw) == (error, "", False)


@pytest.mark.parametrize(
    ("capabilities", "commands"),
    [
        ({"command": {"commands": ["b", "a"]}}, ["a", "b"]),
        ({"command": {"commands": ["b", 1, None, ["c"], "a"]}}, ["a", "b"]),
        ({"command": {"commands": "ab"}}, []),
        ({"command": {}}, []),
        ({"command": None}, []),
        ({"exec": {}}, []),
    ],
)
def test_commands_are_those_that_can_be_called(
    capabilities: dict[str, object], commands: list[str]
) -> None:
    plugin = demo()
    plugin.capabilities = capabilities
    assert plugin.commands == commands


@pytest.mark.parametrize("said", ["", "x" * 129, "1.0\x1b[2J", "1 0", "1.0\n", 7, None])
def test_version_is_that_of_the_manifest_where_the_plugin_says_none_that_can_be_shown(said: object) -> None:
    plugin = demo()
    plugin.runs(plugin.candidate, MANIFEST, 7, {"plugin": {"id": "demo", "version": "2.0"}})
    assert plugin.version == "2.0"
    plugin.runs(plugin.candidate, MANIFEST, 7, {"plugin": {"id": "demo", "version": said}})
    assert plugin.version == "1.0.0"
