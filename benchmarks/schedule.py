"""The order of measurements: rounds in which every contestant has its turn, next to the others.

Other work on the machine comes and goes; contestants of one round meet the same of it, so figures are
compared within rounds. The first of a round changes from round to round. A driver runs from the first
trial it is needed for to the last. Invariant: what fails costs its own trial and no other.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .worker import Worker, WorkerFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .contestant import Contestant
    from .figure import Trial

__all__ = ["Results", "Rounds", "run"]

Rounds = list[dict[str, float]]


@dataclass(slots=True)
class Results:
    """The answers of all rounds by trial and contestant; who is absent and what failed, and why."""

    rounds: dict[str, dict[str, Rounds]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def run(
    trials: Sequence[Trial],
    contestants: Iterable[Contestant],
    *,
    rounds: int,
    quick: bool,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> Results:
    """Measure all trials. A peer that fails is left out from then on; any other fails its trial."""
    results = Results()
    stage = _Stage(list(contestants), results)
    try:
        for number, trial in enumerate(trials):
            say(f"{trial.name} ...")
            try:
                table = _measure(trial, stage.enter(trial), rounds, quick, stage)
            except WorkerFailed as error:
                results.failures[trial.name] = str(error)
                say(f"{trial.name} failed: {error}")
            else:
                results.rounds[trial.name] = {
                    name: answers for name, answers in table.items() if name not in results.absent
                }
            stage.leave({later.verb for later in trials[number + 1 :]})
    finally:
        stage.leave(set())
    return results


class _Stage:
    """The drivers that run."""

    def __init__(self, contestants: list[Contestant], results: Results) -> None:
        self._contestants = contestants
        self._results = results
        self._workers: dict[int, Worker] = {}

    def name(self, place: int) -> str:
        return self._contestants[place].name

    def enter(self, trial: Trial) -> list[int]:
        """Start whoever knows this trial; their places in the order. Raises WorkerFailed."""
        places = []
        for place, contestant in enumerate(self._contestants):
            if trial.verb in contestant.verbs and self._is_there(place, contestant):
                places.append(place)
        return places

    def _is_there(self, place: int, contestant: Contestant) -> bool:
        if contestant.name in self._results.absent:
            return False
        if place in self._workers:
            return True
        if (reason := contestant.missing()) is not None:
            self._results.absent[contestant.name] = reason
            return False
        try:
            self._workers[place] = Worker(contestant)
        except WorkerFailed as error:
            self._lose(contestant, error)
            return False
        return True

    def take(self, place: int, trial: Trial, seconds: float) -> dict[str, float] | None:
        """The answer of one; None of a peer that fails. Raises WorkerFailed for any other."""
        if (worker := self._workers.get(place)) is None:
            return None
        try:
            return worker.measure(trial.verb, seconds, pinned=trial.pinned)
        except WorkerFailed as error:
            # It may be in the middle of anything: the next trial has another.
            self._workers.pop(place).close()
            self._lose(worker.contestant, error)
            return None

    def _lose(self, contestant: Contestant, error: WorkerFailed) -> None:
        if contestant.kind != "peer":
            raise error
        self._results.absent[contestant.name] = str(error)

    def leave(self, verbs: set[str]) -> None:
        """End those that know none of these."""
        for place in [place for place in self._workers if not verbs & self._contestants[place].verbs]:
            self._workers.pop(place).close()


def _measure(trial: Trial, places: list[int], rounds: int, quick: bool, stage: _Stage) -> dict[str, Rounds]:
    seconds = trial.quick_seconds if quick else trial.seconds
    table: dict[str, Rounds] = {}
    for turn in range(rounds * trial.turns):
        for place in _rotated(places, turn):
            if (answer := stage.take(place, trial, seconds)) is not None:
                table.setdefault(stage.name(place), []).append(answer)
    return table


def _rotated(places: list[int], turn: int) -> list[int]:
    first = turn % len(places) if places else 0
    return places[first:] + places[:first]
