"""Durations in buckets of fixed bounds, ten to a decade, and the quantiles that follow from them.

Pure. The bounds are the preferred numbers of the series R10: a quantile is wrong by less than a bucket's
width, a quarter of itself. Invariant: the bounds are the same in every snapshot, so two of them can be
subtracted.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BOUNDS", "BUCKETS", "COARSE", "cumulated", "quantile"]

_R10 = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
_FIRST, _LAST = -5, 2  # powers of ten, in seconds

BOUNDS = (
    *(float(f"{factor}e{power}") for power in range(_FIRST, _LAST) for factor in _R10),
    float(f"1e{_LAST}"),
)
"""The upper bounds in seconds, each part of its bucket: from 10 µs to 100 s."""

BUCKETS = len(BOUNDS) + 1
"""One more than there are bounds: the last is for what took longer than all of them."""

COARSE = tuple(index for index, bound in enumerate(BOUNDS) if f"{bound:e}"[:3] in ("1.0", "2.0", "5.0"))
"""The bounds that are told to others, three to a decade: 1, 2, 5."""


def quantile(buckets: Sequence[int], q: float) -> float | None:
    """The duration in seconds that a part `q` (0 to 1) of all does not exceed; None when there are none.

    Taken to be spread evenly within its bucket; of what is over the last bound, that bound is told.
    """
    total = sum(buckets)
    if not total:
        return None
    wanted = q * total
    below = 0
    for index, count in enumerate(buckets):
        if count and below + count >= wanted:
            if index >= len(BOUNDS):
                break
            low = BOUNDS[index - 1] if index else 0.0
            return low + (BOUNDS[index] - low) * max(0.0, wanted - below) / count
        below += count
    return BOUNDS[-1]


def cumulated(buckets: Sequence[int]) -> list[tuple[float, int]]:
    """How many took at most so long, for every bound that is told to others."""
    sums = list(accumulate(buckets))
    return [(BOUNDS[index], sums[index]) for index in COARSE]
