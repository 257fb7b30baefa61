"""A count over all runs of a plugin, made of the counts of single runs, each of which begins at nothing.

Pure. Invariant: the total never falls, also when a run shows less than before, as the processor time of a
tree does when a part of it has gone where nobody looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Odometer"]


class Odometer:
    """`read` takes what the runs that there are show now."""

    __slots__ = ("_past", "_runs")

    def __init__(self) -> None:
        self._past = 0.0
        self._runs: dict[int, float] = {}

    def read(self, runs: Mapping[int, float]) -> float:
        """The total; `runs` by their numbers. One that is missing has ended and counts with its last."""
        for run in [run for run in self._runs if run not in runs]:
            self._past += self._runs.pop(run)
        for run, value in runs.items():
            self._runs[run] = max(value, self._runs.get(run, 0.0))
        return self._past + sum(self._runs.values())
