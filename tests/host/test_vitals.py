"""What a plugin may answer when it is asked how it is, and what of that is believed."""

from __future__ import annotations

from typing import Any

import pytest

from plugin_host.vitals import Vitals


def test_vitals_are_read_from_what_the_sdk_sends() -> None:
    sent = {"running": 2, "waiting": 1, "finished": 9, "oldest": "nap", "oldest_ms": 1500, "loop_ms": 40}
    assert Vitals.from_wire(sent) == Vitals(2, 1, 9, "nap", 1.5, 0.04)


@pytest.mark.parametrize("sent", [None, 5, "text", [], b"", [{"running": 1}]], ids=repr)
def test_an_answer_that_is_no_map_has_no_vitals(sent: Any) -> None:
    assert Vitals.from_wire(sent) is None


@pytest.mark.parametrize("value", [None, "5", -1, True, [], {}, 1e300, float("nan"), float("inf"), 2**80])
def test_what_is_no_number_of_milliseconds_is_not_said(value: Any) -> None:
    vitals = Vitals.from_wire({"oldest_ms": value, "loop_ms": value})
    assert vitals == Vitals()


@pytest.mark.parametrize("value", [None, "5", -1, True, [], 1.5])
def test_what_is_no_count_is_not_said(value: Any) -> None:
    assert Vitals.from_wire({"running": value, "waiting": value, "finished": value}) == Vitals()


def test_a_name_without_end_is_cut() -> None:
    vitals = Vitals.from_wire({"oldest": "x" * 10_000})
    assert vitals is not None
    assert vitals.oldest == "x" * 200
