"""The words of the benchmarks: trials, the figures taken from them, their budgets.

A trial is one order given to every contestant that knows it; a figure is one number of its answer; a
budget compares this project's number with another one of the same run. Which there are is said in the
modules that end in `_figure`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OURS", "Budget", "Figure", "Trial"]

OURS = "ours"

_RATES = frozenset({"calls/s", "MB/s"})


@dataclass(frozen=True, slots=True)
class Trial:
    """One measurement: `seconds` long, `quick_seconds` with --quick, `turns` times in each round."""

    name: str
    verb: str
    seconds: float = 0.0
    quick_seconds: float = 0.0
    pinned: bool = False
    turns: int = 1


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on ours: times `against`, or plain.

    `against` is a contestant, or `floor`; with a `key` it is only words for that key of our own answer.
    """

    limit: float
    against: str | None = None
    at_most: bool = True
    key: str | None = None

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        return f"{sign} {self.limit:,g}" + (f" x {self.against}" if self.against else "")

    def is_met(self, measured: float) -> bool:
        return measured <= self.limit if self.at_most else measured >= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: `key` of the trial's answer, times `scale`, in `unit`.

    `subject` is which of ours it is about.
    """

    row: str
    title: str
    unit: str
    trial: Trial
    key: str
    floor: str | None = None
    scale: float = 1.0
    budgets: tuple[Budget, ...] = ()
    subject: str = OURS

    @property
    def is_rate(self) -> bool:
        """Whether more is better; of everything else, less is."""
        return self.unit in _RATES
