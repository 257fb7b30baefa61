"""Durations in buckets: where they fall, and what can be told of them afterwards."""

from __future__ import annotations

import random
from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.metric.histogram import BOUNDS, BUCKETS, COARSE, cumulated, quantile

pytestmark = pytest.mark.edges

SECONDS = st.floats(min_value=1e-9, max_value=1e4)


def counted(durations: list[float]) -> list[int]:
    buckets = [0] * BUCKETS
    for seconds in durations:
        buckets[bisect_left(BOUNDS, seconds)] += 1
    return buckets


def test_bounds_rise_by_a_quarter_from_ten_microseconds_to_a_hundred_seconds() -> None:
    assert (BOUNDS[0], BOUNDS[-1]) == (1e-5, 100.0)
    assert all(1.19 < high / low < 1.29 for low, high in pairwise(BOUNDS))
    assert len(BOUNDS) + 1 == BUCKETS


def test_others_are_told_three_bounds_to_a_decade() -> None:
    told = [f"{BOUNDS[index]:g}" for index in COARSE]
    assert told[:5] == ["1e-05", "2e-05", "5e-05", "0.0001", "0.0002"]
    assert told[-3:] == ["20", "50", "100"]
    assert len(told) == 22


def test_nothing_has_no_quantile() -> None:
    assert quantile([0] * BUCKETS, 0.5) is None


@given(
    st.lists(st.floats(min_value=1.1e-5, max_value=99), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0])
)
def test_a_quantile_is_wrong_by_less_than_its_bucket(durations: list[float], q: float) -> None:
    exact = sorted(durations)[max(0, -int(-q * len(durations) // 1) - 1)]
    found = quantile(counted(durations), q)
    assert found is not None
    assert exact / 1.3 <= found <= exact * 1.3


def test_a_quantile_lies_within_its_bucket_where_its_part_of_the_calls_is() -> None:
    buckets = counted([0.0045] * 100)
    low, middle, high = (quantile(buckets, q) for q in (0.01, 0.5, 1.0))
    assert low == pytest.approx(0.00401)
    assert middle == pytest.approx(0.0045)
    assert high == pytest.approx(0.005)


def test_what_took_longer_than_all_bounds_is_told_by_the_last() -> None:
    assert quantile(counted([1000.0]), 0.5) == 100.0


@given(st.lists(SECONDS))
def test_told_counts_are_those_of_at_most_so_long(durations: list[float]) -> None:
    for bound, count in cumulated(counted(durations)):
        assert count == sum(seconds <= bound for seconds in durations)


def test_quantiles_of_many_are_near_those_of_the_numbers_themselves() -> None:
    numbers = random.Random(5)
    durations = [numbers.lognormvariate(-9, 1) for _ in range(5000)]
    for q in (0.5, 0.99):
        found = quantile(counted(durations), q)
        assert found == pytest.approx(sorted(durations)[int(q * 5000)], rel=0.1)
