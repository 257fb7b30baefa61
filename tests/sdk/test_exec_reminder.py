"""Telling a terminal's program again that its input has ended: when, and how often."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from plugin_host_sdk.exec.reminder import Reminder
from plugin_host_sdk.testing import FakeClock


class Bench:
    """A reminder whose timers a test runs, by its clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.marks = 0
        self.input = SimpleNamespace(has_ended_terminal=True, mark_end_again=self._mark)
        reactor = SimpleNamespace(call_at=lambda at, call: self.timers.append((at, call)))
        self.reminder = Reminder(cast("Any", self.input), cast("Any", reactor), self.clock)

    def _mark(self) -> None:
        self.marks += 1

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        due = [timer for timer in self.timers if timer[0] <= self.clock.monotonic() + 1e-9]
        self.timers = [timer for timer in self.timers if timer not in due]
        for _, call in due:
            call()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_program_that_is_silent_after_output_is_told_once(bench: Bench) -> None:
    bench.reminder.note_output()
    bench.advance(0.05)
    assert bench.marks == 0
    bench.advance(0.06)
    assert (bench.marks, bench.timers) == (1, [])


def test_program_that_goes_on_is_left_alone(bench: Bench) -> None:
    for _ in range(20):
        bench.reminder.note_output()
        bench.advance(0.06)
    assert (bench.marks, len(bench.timers)) == (0, 1)
    bench.advance(0.1)
    bench.advance(0.1)
    assert (bench.marks, bench.timers) == (1, [])


def test_input_that_has_not_ended_needs_no_timer(bench: Bench) -> None:
    bench.input.has_ended_terminal = False
    bench.reminder.note_output()
    assert bench.timers == []


def test_program_that_always_answers_is_told_so_often_and_no_more(bench: Bench) -> None:
    for _ in range(1000):
        bench.reminder.note_output()
        bench.advance(0.1)
    assert (bench.marks, bench.timers) == (50, [])
