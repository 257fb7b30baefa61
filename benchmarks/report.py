"""One run from the first start to the printed table and the document of its results."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from . import machine, table, verdict
from .catalogue import CONTESTANTS, FIGURES
from .document import document
from .schedule import run

if TYPE_CHECKING:
    from collections.abc import Collection

    from .document import Document

__all__ = ["make"]


def make(rows: Collection[str], *, rounds: int, quick: bool, peers: bool) -> Document:
    """Measure the rows, print what came of it, and return the results."""
    figures = [figure for figure in FIGURES if figure.row in rows]
    contestants = [one for one in CONTESTANTS if peers or one.kind != "peer"]
    load, begun = os.getloadavg(), time.monotonic()
    trials = list(dict.fromkeys(figure.trial for figure in figures))
    results = run(trials, contestants, rounds=rounds, quick=quick)
    lines, unmeasured = verdict.lines(figures, results), verdict.unmeasured(figures, results)
    here = machine.describe(load, rounds, quick)
    print(f"{machine.heading(here)}\ntook {time.monotonic() - begun:.0f} s")
    if lines:
        print("\n" + table.verdicts(lines, contestants))
        print("\nmedians of all\n" + table.figures(lines, contestants))
    for name, reason in results.absent.items():
        print(f"\n{name}: {reason}")
    for trial, reason in results.failures.items():
        print(f"\nFAILED: {trial}: {reason}")
    return document(here, lines, unmeasured, results, contestants)
