"""When a lone call looks for its answer itself: what was found and what it cost decides."""

from __future__ import annotations

import pytest

from plugin_host.eagerness import ROW_S, SLOW_S, Eagerness


def found(eagerness: Eagerness, seconds: float) -> None:
    """What who finds an answer does."""
    eagerness.row += seconds
    if seconds > SLOW_S or eagerness.row > ROW_S:
        eagerness.end_row(seconds)


def test_first_call_looks() -> None:
    assert Eagerness().pause == 0


def test_each_look_in_vain_that_follows_on_another_doubles_the_pause_up_to_a_bound() -> None:
    eagerness, pauses = Eagerness(), []
    for _ in range(13):
        eagerness.missed(1e-6)
        pauses.append(eagerness.pause)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024, 1024]
    assert repr(eagerness) == "<Eagerness pause=1024>"


def test_look_in_vain_after_one_that_found_something_is_followed_by_a_short_pause() -> None:
    eagerness = Eagerness()
    for _ in range(8):
        eagerness.missed(1e-6)
    found(eagerness, 20e-6)
    eagerness.missed(1e-6)
    assert eagerness.pause == 1
    eagerness.missed(1e-6)
    assert eagerness.pause == 2


def test_price_of_a_look_in_vain_is_spread_over_calls() -> None:
    eagerness = Eagerness()
    eagerness.missed(0.003)
    assert eagerness.pause == 300


def test_answers_that_follow_each_other_leave_one_to_the_loop_after_a_while() -> None:
    eagerness, each = Eagerness(), 30e-6
    looks = 0
    while not eagerness.pause:
        found(eagerness, each)
        looks += 1
    assert ROW_S < looks * each <= ROW_S + 2 * each
    assert eagerness.pause == 1
    assert eagerness.row == 0


@pytest.mark.parametrize("before", [0, 3])
def test_answer_that_took_long_counts_as_a_look_in_vain(before: int) -> None:
    eagerness = Eagerness()
    for _ in range(before):
        found(eagerness, 20e-6)
    found(eagerness, 2 * SLOW_S)
    assert eagerness.pause == 40
    assert eagerness.row == 0
