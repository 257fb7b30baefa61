"""What is kept of something that never ends stays within its bounds."""

from __future__ import annotations

import pytest

from plugin_host.ring import Ring
from plugin_host.weight import weigh


def test_the_oldest_goes_when_there_are_too_many() -> None:
    ring: Ring[int] = Ring(3, 1000)
    assert [ring.push(number, 1) for number in range(5)] == [0, 0, 0, 1, 1]
    assert list(ring) == [2, 3, 4]


def test_as_many_go_as_the_new_one_needs_room() -> None:
    ring: Ring[str] = Ring(100, 10)
    for name in "abcd":
        ring.push(name, 2)
    assert ring.push("big", 7) == 3
    assert list(ring) == ["d", "big"]


def test_one_that_is_too_big_is_kept_alone() -> None:
    ring: Ring[str] = Ring(100, 10)
    ring.push("a", 2)
    assert ring.push("huge", 50) == 1
    assert list(ring) == ["huge"]
    assert ring.push("b", 2) == 1
    assert list(ring) == ["b"]


def test_what_was_taken_makes_room() -> None:
    ring: Ring[str] = Ring(100, 10)
    ring.push("a", 6)
    assert ring.pop() == "a"
    assert ring.push("b", 6) == 0
    ring.clear()
    assert len(ring) == 0
    assert ring.push("c", 10) == 0


@pytest.mark.parametrize(
    ("value", "least"),
    [("x" * 5000, 5000), (b"x" * 5000, 5000), ({"a": ["x" * 3000, b"y" * 2000]}, 5000), ([0] * 100, 5000)],
)
def test_weight_grows_with_what_a_value_holds(value: object, least: int) -> None:
    assert least <= weigh(value) <= 2 * least + 500


def test_a_value_is_weighed_no_further_than_the_limit() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert 1000 < weigh(nested, 1000) < 2000
    assert weigh(nested) > 100_000
