"""Results of several runs side by side: one row per figure, one column per version of Python.

Where two runs of one version have a figure, the later run counts; so a few rows can be measured again
without the rest. Invariant: rows that miss a budget come first, those without a budget last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .verdict import ORDER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .document import Document

__all__ = ["Row", "Scoreboard", "scoreboard"]


@dataclass(slots=True)
class Row:
    """One figure, as it stands in the documents, by version of Python."""

    title: str
    by_python: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The worst of all versions."""
        return min((str(figure["verdict"]) for figure in self.by_python.values()), key=ORDER.index)

    @property
    def first(self) -> dict[str, Any]:
        """What is the same for all versions, such as the unit, and one version's numbers."""
        return next(iter(self.by_python.values()))


@dataclass(slots=True)
class Scoreboard:
    """All rows; what could not be measured, and why; the runs that it is made of."""

    pythons: list[str]
    rows: list[Row]
    unmeasured: list[dict[str, str]]
    machines: list[dict[str, Any]]
    kinds: dict[str, str]

    @property
    def peers(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind == "peer"]


def scoreboard(documents: Iterable[Document]) -> Scoreboard:
    """Of any number of runs, in any order."""
    ordered = sorted(documents, key=lambda one: str(one["machine"]["date"]))
    rows: dict[str, Row] = {}
    unmeasured: dict[str, dict[str, str]] = {}
    for one in ordered:
        python = _minor(one["machine"]["python"])
        for figure in one["figures"]:
            rows.setdefault(figure["title"], Row(figure["title"])).by_python[python] = figure
        unmeasured |= {absent["title"]: absent for absent in one["unmeasured"]}
    for row in rows.values():
        row.by_python = dict(sorted(row.by_python.items(), key=lambda item: _number(item[0])))
    return Scoreboard(
        pythons=sorted({python for row in rows.values() for python in row.by_python}, key=_number),
        rows=sorted(rows.values(), key=lambda row: ORDER.index(row.verdict)),
        unmeasured=[absent for title, absent in unmeasured.items() if title not in rows],
        machines=[one["machine"] for one in ordered],
        kinds={name: kind for one in ordered for name, kind in one["contestants"].items()},
    )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _number(minor: str) -> tuple[int, ...]:
    return tuple(map(int, minor.split(".")))
