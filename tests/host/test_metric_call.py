"""Counting calls: what a row holds, and that no name of a caller's makes more of them."""

from __future__ import annotations

import asyncio

import pytest

from plugin_host.errors import CallFailed, CallTimeout, PluginDied
from plugin_host.metric.call import COMMANDS, ERRORS, OTHER, CallRow, CallTable, name_of


def offering(*commands: str) -> CallTable:
    return CallTable(lambda command: command in commands)


def test_a_call_is_in_flight_until_it_has_ended() -> None:
    row = CallRow()
    row.started += 2
    row.end(0.5)
    figures = row.figures()
    assert (figures["started"], figures["finished"], figures["in_flight"]) == (2, 1, 1)
    assert (figures["seconds"], sum(figures["buckets"]), figures["failures"]) == (0.5, 1, {})


def test_calls_that_ended_together_count_each_with_the_time_they_took() -> None:
    row, alone = CallRow(), CallRow()
    row.started += 4
    row.end_many(3, 0.5)
    row.end(2.0)
    for _ in range(3):
        alone.end(0.5)
    alone.end(2.0)
    figures = row.figures()
    assert (figures["finished"], figures["in_flight"], figures["seconds"]) == (4, 0, 3.5)
    assert figures["buckets"] == alone.figures()["buckets"]


def test_a_failed_call_counts_by_the_name_of_its_error() -> None:
    row = CallRow()
    for error in (CallFailed("", name="b.b"), CallFailed("", name="a.a"), CallFailed("", name="b.b")):
        row.started += 1
        row.fail(0.25, error)
    figures = row.figures()
    assert list(figures["failures"].items()) == [("a.a", 1), ("b.b", 2)]
    assert (figures["finished"], figures["seconds"]) == (3, 0.75)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (CallTimeout("", name="command.timeout"), "command.timeout"),
        (PluginDied(""), "command.connection"),
        (asyncio.CancelledError(), "rpc.cancelled"),
        (TypeError(), "TypeError"),
    ],
)
def test_every_error_has_a_name(error: BaseException, name: str) -> None:
    assert name_of(error) == name


def test_names_of_errors_that_a_plugin_invents_are_bounded() -> None:
    row = CallRow()
    for number in range(1000):
        row.fail(0.0, CallFailed("", name=f"made.up{number}"))
    row.fail(0.0, CallFailed("", name="x" * 10_000))
    assert len(row.failures) == ERRORS + 1
    assert row.failures[OTHER] == 1001 - ERRORS


def test_a_command_that_is_offered_has_a_row_of_its_own() -> None:
    table = offering("one", "two")
    table["one"].started += 1
    assert table["one"].started == 1
    assert table["two"] is not table["one"]
    assert list(table.figures()) == ["one", "two"]


def test_a_command_that_is_not_offered_is_one_of_the_others() -> None:
    table = offering("one")
    for number in range(1000):
        table[f"no{number}"].started += 1
    assert list(table) == [OTHER]
    assert table[OTHER].started == 1000


def test_a_command_that_is_offered_later_has_its_row_from_then_on() -> None:
    offered: set[str] = set()
    table = CallTable(offered.__contains__)
    other = table["late"]
    offered.add("late")
    assert table["late"] is not other


def test_of_hundreds_of_commands_the_first_have_rows() -> None:
    table = CallTable(lambda _: True)
    for number in range(1000):
        table[f"c{number}"].started += 1
    assert len(table) == COMMANDS + 1
    assert table["c0"].started == 1
    assert table[OTHER].started == 1000 - COMMANDS


def test_a_name_of_any_length_takes_no_room() -> None:
    table = CallTable(lambda _: True)
    assert table["x" * 100_000] is table[OTHER]
