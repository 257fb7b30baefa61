"""One run from the first start to the printed table and the JSON file."""

from __future__ import annotations

import json
import os
import platform
from typing import TYPE_CHECKING, Any

from . import table, verdict
from .catalogue import CONTESTANTS, FIGURES
from .schedule import run

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .schedule import Results
    from .verdict import Line

__all__ = ["make"]


def make(
    rows: Collection[str], *, rounds: int, quick: bool, peers: bool, json_path: str | None
) -> list[Line]:
    """Measure the rows, print what came of it, and return the lines. Raises WorkerFailed."""
    figures = [figure for figure in FIGURES if figure.row in rows]
    contestants = [one for one in CONTESTANTS if peers or one.kind != "peer"]
    load = os.getloadavg()
    trials = list(dict.fromkeys(figure.trial for figure in figures))
    results = run(trials, contestants, rounds=rounds, quick=quick)
    lines = verdict.lines(figures, results)
    machine = _machine(load, rounds, quick)
    print(_heading(machine))
    print("\n" + table.verdicts(lines, contestants))
    print("\nmedians of all\n" + table.figures(lines, contestants))
    for name, reason in results.absent.items():
        print(f"\n{name}: {reason}")
    if json_path is not None:
        with open(json_path, "w", encoding="utf-8") as file:
            json.dump(_document(machine, lines, results), file, indent=1)
    return lines


def _machine(load: tuple[float, float, float], rounds: int, quick: bool) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processors": len(os.sched_getaffinity(0)),
        "load_before": load,
        "load_after": os.getloadavg(),
        "rounds": rounds,
        "quick": quick,
    }


def _heading(machine: dict[str, Any]) -> str:
    before, after, processors = machine["load_before"][0], machine["load_after"][0], machine["processors"]
    text = (
        f"Python {machine['python']}, {machine['system']}, {processors} processors, "
        f"{machine['rounds']} rounds{' (quick)' if machine['quick'] else ''}, "
        f"load {before:.1f} before and {after:.1f} after; ratios are medians over rounds"
    )
    # What is measured keeps two processes busy at most, whatever the number of processors.
    if before > processors / 2 or after > processors + 1:
        text += "\nThe machine was busy with other work: figures of several processes at once suffer most."
    return text


def _document(machine: dict[str, Any], lines: Sequence[Line], results: Results) -> dict[str, Any]:
    return {
        "machine": machine,
        "figures": [
            {
                "row": line.figure.row,
                "title": line.figure.title,
                "unit": line.figure.unit,
                "trial": line.figure.trial.name,
                "values": line.values,
                "ratios": line.ratios,
                "spread": line.spread,
                "verdict": line.verdict,
                "budgets": [
                    {"budget": str(check.budget), "measured": check.measured, "met": check.is_met}
                    for check in line.checks
                ],
            }
            for line in lines
        ],
        "rounds": results.rounds,
        "absent": results.absent,
    }
