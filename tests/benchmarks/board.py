"""Documents of results as runs write them, with two figures and made-up numbers."""

from __future__ import annotations

from typing import Any

from benchmarks.contestant import Contestant
from benchmarks.document import document
from benchmarks.figure import Budget, Figure, Trial
from benchmarks.schedule import Results
from benchmarks.verdict import lines, unmeasured

__all__ = ["RATE", "TRIP", "made"]

_TRIAL = Trial("trial", "rtt")
TRIP = Figure(
    "rtt", "trip", "µs", _TRIAL, "us", "bare", budgets=(Budget(1.5, "floor"), Budget(0.5, "rival"))
)
RATE = Figure("flight", "rate", "calls/s", _TRIAL, "per_s", "bare", budgets=(Budget(100.0, at_most=False),))
FREE = Figure("rtt", "free", "µs", _TRIAL, "us", "bare")
_ABSENT = Figure("rtt", "elsewhere", "µs", Trial("other", "rtt"), "us")


def made(
    trip: float = 2.0, rate: float = 200.0, *, python: str = "3.11.7", date: str = "2026-01-01"
) -> Any:
    """A run in which floor and rival take 1 µs and 8 µs, and do 400 and 50 calls a second."""
    rounds = {
        "ours": [{"us": trip, "per_s": rate}],
        "bare": [{"us": 1.0, "per_s": 400.0}],
        "rival": [{"us": 8.0, "per_s": 50.0}],
    }
    results = Results(rounds={"trial": rounds}, failures={"other": "ours: no luck"})
    contestants = [
        Contestant("bare", "floor", list, frozenset()),
        Contestant("rival", "peer", list, frozenset()),
        Contestant("ours", "ours", list, frozenset()),
    ]
    machine = {
        "date": date,
        "python": python,
        "system": "Linux 6",
        "processor": "a processor",
        "processors": 2,
        "versions": {"rival": "1.2"},
        "load_before": [0.0, 0.0, 0.0],
        "load_after": [0.0, 0.0, 0.0],
        "rounds": 5,
        "quick": False,
    }
    figures = [TRIP, RATE, FREE, _ABSENT]
    return document(machine, lines(figures, results), unmeasured(figures, results), results, contestants)
