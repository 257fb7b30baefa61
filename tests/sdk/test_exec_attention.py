"""Where somebody types, and who gives way to it."""

from __future__ import annotations

import pytest

from plugin_host_sdk.exec import attention as attention_module
from plugin_host_sdk.exec.attention import Attention
from tests.sdk.sitting import Sitting


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as the only item."""
    time = [100.0]
    monkeypatch.setattr(attention_module, "monotonic", lambda: time[0])
    return time


def gives_way(sitting: Sitting) -> bool:
    return sitting.session.gives_way


def test_nobody_gives_way_before_anybody_types(now: list[float]) -> None:
    now[0] = 0.0
    assert not Attention().is_elsewhere("a")


def test_others_give_way_for_a_second_and_the_one_that_is_typed_into_does_not(now: list[float]) -> None:
    attention = Attention()
    attention.note("a")
    assert attention.is_elsewhere("b")
    assert not attention.is_elsewhere("a")
    now[0] += 0.9
    assert attention.is_elsewhere("b")
    attention.note("a")
    now[0] += 0.9
    assert attention.is_elsewhere("b")
    now[0] += 0.2
    assert not attention.is_elsewhere("b")


def test_who_types_into_two_has_both_give_way_to_each_other(now: list[float]) -> None:
    attention = Attention()
    attention.note("a")
    now[0] += 0.5
    attention.note("b")
    assert attention.is_elsewhere("a")
    assert attention.is_elsewhere("b")
    now[0] += 0.6
    assert attention.is_elsewhere("a")
    assert not attention.is_elsewhere("b")


@pytest.mark.parametrize("tty", [True, False])
def test_input_of_a_terminal_counts_and_that_of_pipes_does_not(now: list[float], tty: bool) -> None:
    sitting = Sitting(tty=tty)
    sitting.session.input.received(0, b"k")
    assert sitting.attention.is_elsewhere("other") == tty
    assert not sitting.attention.is_elsewhere("s")


def test_session_gives_way_when_nobody_looks_or_somebody_types_elsewhere(now: list[float]) -> None:
    sitting = Sitting()
    sitting.run()
    assert gives_way(sitting)
    sitting.attach()
    assert not gives_way(sitting)
    sitting.attention.note("other")
    assert gives_way(sitting)
    now[0] += 1.1
    assert not gives_way(sitting)
    sitting.release()
