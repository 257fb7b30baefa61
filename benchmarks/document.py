"""The results of a run as one JSON document: what a table and pictures are made of, without measuring.

Invariant: everything that is shown of a run stands in its document, down to every answer of every round.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .contestant import Contestant
    from .figure import Figure
    from .schedule import Results
    from .verdict import Check, Line

__all__ = ["Document", "document", "read", "write"]

Document = dict[str, Any]


def document(
    machine: dict[str, Any],
    lines: Sequence[Line],
    unmeasured: Iterable[tuple[Figure, str]],
    results: Results,
    contestants: Iterable[Contestant],
) -> Document:
    """Of one run; the figures in the order of the lines."""
    names = {name for table in results.rounds.values() for name in table}
    return {
        "machine": machine,
        "contestants": {one.name: one.kind for one in contestants if one.name in names},
        "figures": [_figure(line) for line in lines],
        "unmeasured": [
            {"row": figure.row, "title": figure.title, "reason": reason} for figure, reason in unmeasured
        ],
        "rounds": results.rounds,
        "absent": results.absent,
        "failures": results.failures,
    }


def _figure(line: Line) -> dict[str, Any]:
    figure = line.figure
    return {
        "row": figure.row,
        "title": figure.title,
        "unit": figure.unit,
        "is_rate": figure.is_rate,
        "subject": figure.subject,
        "floor": figure.floor,
        "trial": figure.trial.name,
        "key": figure.key,
        "scale": figure.scale,
        "values": line.values,
        "ratios": line.ratios,
        "spread": line.spread,
        "verdict": line.verdict,
        "budgets": [_budget(check) for check in line.checks],
    }


def _budget(check: Check) -> dict[str, Any]:
    return {
        "budget": str(check.budget),
        "limit": check.budget.limit,
        "against": check.budget.against,
        "at_most": check.budget.at_most,
        "measured": check.measured,
        "met": check.is_met,
    }


def write(path: Path, content: Document) -> None:
    """Numbers of rounds are cut to what their digits mean, which keeps the file small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_cut(content), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Document:
    content: Document = json.loads(path.read_text(encoding="utf-8"))
    return content


def _cut(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _cut(one) for key, one in value.items()}
    return [_cut(one) for one in value] if isinstance(value, list | tuple) else value
