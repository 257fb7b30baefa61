"""The order of measurements: rounds in which every contestant has its turn, next to the others.

Other work on the machine comes and goes; contestants of one round meet the same of it, so figures are
compared within rounds. The first of a round changes from round to round.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .worker import Worker, WorkerFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .catalogue import Contestant
    from .figure import Trial

__all__ = ["Results", "run"]

Rounds = list[dict[str, float]]


@dataclass(slots=True)
class Results:
    """The answers of all rounds by trial and contestant; and who is absent, with the reason."""

    rounds: dict[str, dict[str, Rounds]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def run(
    trials: Sequence[Trial],
    contestants: Iterable[Contestant],
    *,
    rounds: int,
    quick: bool,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> Results:
    """Measure all trials. A peer that fails is left out and named; raises WorkerFailed for any other."""
    results = Results()
    workers: list[Worker] = []
    try:
        for contestant in contestants:
            if any(trial.verb in contestant.verbs for trial in trials):
                _start(contestant, workers, results)
        for trial in trials:
            say(f"{trial.name} ...")
            table: dict[str, Rounds] = {}
            for turn in range(rounds * trial.turns):
                seconds = trial.quick_seconds if quick else trial.seconds
                for worker in _rotated(workers, turn):
                    _take(worker, trial, seconds, table, results)
            results.rounds[trial.name] = {
                name: answers for name, answers in table.items() if name not in results.absent
            }
    finally:
        for worker in workers:
            worker.close()
    return results


def _start(contestant: Contestant, workers: list[Worker], results: Results) -> None:
    reason = contestant.missing()
    if reason is None:
        try:
            workers.append(Worker(contestant))
            return
        except WorkerFailed as error:
            if contestant.kind != "peer":
                raise
            reason = str(error)
    results.absent[contestant.name] = reason


def _rotated(workers: list[Worker], turn: int) -> list[Worker]:
    first = turn % len(workers)
    return workers[first:] + workers[:first]


def _take(worker: Worker, trial: Trial, seconds: float, table: dict[str, Rounds], results: Results) -> None:
    contestant = worker.contestant
    if trial.verb not in contestant.verbs or contestant.name in results.absent:
        return
    try:
        answer = worker.measure(trial.verb, seconds, pinned=trial.pinned)
    except WorkerFailed as error:
        if contestant.kind != "peer":
            raise
        results.absent[contestant.name] = str(error)
        return
    table.setdefault(contestant.name, []).append(answer)
