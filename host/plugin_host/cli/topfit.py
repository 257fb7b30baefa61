"""Which columns of `top` a terminal has room for, and under which titles. Pure.

Invariant: what is shown of a column is shown whole; only names of plugins are cut, to no less than a few
letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .toptable import TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Fit", "fit"]

_NAME = 8  # letters of a plugin's name that stay
_SHORT = {"IN FLIGHT": "FLIGHT", "SESSIONS": "SESS", "RESTARTS": "REST"}
# What can be done without, first to last; others see it with --json.
_SPARE = ("PROCS", "FAIL/S", "REST", "SESS", "FLIGHT", "P50", "PID", "MEM", "P99", "CALLS/S", "CPU%")


class Fit(NamedTuple):
    """The columns to show: their places among TITLES, their titles, and the blanks between them.

    The first, of names, may have `name` characters.
    """

    places: list[int]
    titles: list[str]
    gap: int
    name: int


def fit(rows: Sequence[Sequence[str]], width: int) -> Fit:
    """The most that `width` columns of characters have room for; the plugin and its state at least."""
    places = list(range(len(TITLES)))
    for titles, gap in ((TITLES, 2), (TITLES, 1), ([_SHORT.get(title, title) for title in TITLES], 1)):
        if _needed(rows, places, titles, gap) <= width:
            return _fitted(rows, width, places, titles, gap)
    for spare in _SPARE:
        places.remove(titles.index(spare))
        if _needed(rows, places, titles, gap) <= width:
            break
    return _fitted(rows, width, places, titles, gap)


def _fitted(
    rows: Sequence[Sequence[str]], width: int, places: list[int], titles: Sequence[str], gap: int
) -> Fit:
    spare = width - _needed(rows, places, titles, gap)
    name = max(0, min(_NAME, _widest(rows, 0, titles)) + spare)
    return Fit(places, [titles[place] for place in places], gap, name)


def _needed(rows: Sequence[Sequence[str]], places: list[int], titles: Sequence[str], gap: int) -> int:
    widths = [_widest(rows, place, titles) for place in places]
    return min(widths[0], _NAME) + sum(widths[1:]) + gap * (len(widths) - 1)


def _widest(rows: Sequence[Sequence[str]], place: int, titles: Sequence[str]) -> int:
    return max(len(titles[place]), *(len(row[place]) for row in rows), 0)
