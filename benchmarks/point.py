"""The points of the pictures, as numbers: what ours costs as a multiple of something else.

Of rates the inverse is taken, so that everywhere 1 is the same, and less is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .table import TIMES

if TYPE_CHECKING:
    from .scoreboard import Scoreboard

__all__ = ["FLOOR", "BudgetPoint", "RatioPoint", "budget_points", "ratio_points"]

FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class RatioPoint:
    """A figure's cost over that of `against`, a peer or the floor, and the most it may be, if anything."""

    title: str
    python: str
    against: str
    cost: float
    limit: float | None


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """What was measured for one budget over what is allowed: it is met up to 1."""

    label: str
    python: str
    share: float
    is_met: bool


def ratio_points(board: Scoreboard) -> list[RatioPoint]:
    """Of all figures that have a floor or a peer, in the order of the board."""
    points = []
    for row in board.rows:
        for python, figure in row.by_python.items():
            for against in (FLOOR, *board.peers):
                ratio = figure["ratios"].get(figure["floor"] if against == FLOOR else against)
                if ratio:
                    cost = _cost(ratio, at_most=not figure["is_rate"])
                    points.append(RatioPoint(row.title, python, against, cost, _limit(figure, against)))
    return points


def budget_points(board: Scoreboard) -> list[BudgetPoint]:
    """One for each budget that could be compared, the largest share first."""
    points = []
    for row in board.rows:
        for python, figure in row.by_python.items():
            for budget in figure["budgets"]:
                if budget["measured"]:
                    share = _cost(budget["measured"] / budget["limit"], at_most=budget["at_most"])
                    unit = f" {figure['unit']}" if budget["against"] is None else ""
                    label = f"{row.title}: {budget['budget'].replace(' x ', f' {TIMES} ')}{unit}"
                    points.append(BudgetPoint(label, python, share, budget["met"]))
    worst = {point.label: 0.0 for point in points}
    for point in points:
        worst[point.label] = max(worst[point.label], point.share)
    return sorted(points, key=lambda point: (-worst[point.label], point.label))


def _limit(figure: dict[str, Any], against: str) -> float | None:
    for budget in figure["budgets"]:
        if budget["against"] == against:
            return _cost(budget["limit"], at_most=budget["at_most"])
    return None


def _cost(ratio: float, *, at_most: bool) -> float:
    return ratio if at_most else 1 / ratio
