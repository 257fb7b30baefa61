"""From the rounds to the lines of the table: medians, ratios, and which budgets are met.

A ratio is the median of the ratios of the single rounds, so that a busy moment, which slows all
contestants of its round, does not show in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .figure import Budget, Figure
    from .schedule import Results, Rounds

__all__ = ["ORDER", "Check", "Line", "lines", "unmeasured"]

ORDER = ("MISSED", "?", "met", "")
"""Of verdicts, in every table: what is wrong comes first, and what nothing is asked of last."""


@dataclass(frozen=True, slots=True)
class Check:
    """One budget and what was measured for it; None when what it compares with is not there."""

    budget: Budget
    measured: float | None

    @property
    def is_met(self) -> bool | None:
        return None if self.measured is None else self.budget.is_met(self.measured)


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of this run: the value of every contestant, ours over theirs, and the budgets.

    `spread` is the half of our rounds that lies around the median, over the median.
    """

    figure: Figure
    values: dict[str, float]
    ratios: dict[str, float]
    spread: float
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """MISSED when one budget is, met when all are, `?` when one is unknown, empty without any."""
        met = [check.is_met for check in self.checks]
        if False in met:
            return "MISSED"
        if None in met:
            return "?"
        return "met" if met else ""


def lines(figures: Iterable[Figure], results: Results) -> list[Line]:
    """A line for each figure that was measured, the missed ones first, those without budget last."""
    found = [
        _line(figure, results.rounds[figure.trial.name])
        for figure in figures
        if _is_measured(figure, results)
    ]
    return sorted(found, key=lambda line: ORDER.index(line.verdict))


def unmeasured(figures: Iterable[Figure], results: Results) -> list[tuple[Figure, str]]:
    """The figures that no line could be made for, each with the reason."""
    return [
        (figure, results.failures.get(figure.trial.name) or results.absent.get(figure.subject, "no answer"))
        for figure in figures
        if not _is_measured(figure, results)
    ]


def _is_measured(figure: Figure, results: Results) -> bool:
    answers = results.rounds.get(figure.trial.name, {}).get(figure.subject, [])
    return bool(answers) and all(figure.key in answer for answer in answers)


def _line(figure: Figure, rounds: dict[str, Rounds]) -> Line:
    series = {
        name: [answer[figure.key] * figure.scale for answer in answers]
        for name, answers in rounds.items()
        if all(figure.key in answer for answer in answers)
    }
    ours = series[figure.subject]
    # Nothing is a multiple of nothing.
    ratios = {
        name: _ratio(ours, theirs)
        for name, theirs in series.items()
        if name != figure.subject and all(theirs)
    }
    return Line(
        figure=figure,
        values={name: median(numbers) for name, numbers in series.items()},
        ratios=ratios,
        spread=_spread(ours),
        checks=tuple(Check(budget, _measured(budget, figure, rounds, ratios)) for budget in figure.budgets),
    )


def _measured(
    budget: Budget, figure: Figure, rounds: dict[str, Rounds], ratios: dict[str, float]
) -> float | None:
    answers = rounds[figure.subject]
    ours = [answer[figure.key] for answer in answers]
    if budget.key is not None:
        return _ratio(ours, [answer[budget.key] for answer in answers])
    if budget.against is None:
        return median(ours) * figure.scale
    return ratios.get((figure.floor or "") if budget.against == "floor" else budget.against)


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))


def _spread(numbers: list[float]) -> float:
    ordered = sorted(numbers)
    low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
    return (high - low) / middle if (middle := median(ordered)) else 0.0
