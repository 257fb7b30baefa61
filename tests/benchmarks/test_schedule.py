"""Rounds over drivers that behave and drivers that do not."""

from __future__ import annotations

import sys

import pytest

from benchmarks.contestant import Contestant
from benchmarks.figure import Trial
from benchmarks.schedule import Results, run

pytestmark = pytest.mark.edges

GOOD = """
import sys
print("{}", flush=True)
for line in sys.stdin:
    print('{"n": 1}', flush=True)
"""
DIES_AT_ONCE = "raise SystemExit(3)"
DIES_LATER = 'print("{}", flush=True); input()'
COMPLAINS = """
import sys
print("{}", flush=True)
for line in sys.stdin:
    print('{"error": "no luck"}', flush=True)
"""
TRIAL = Trial("a trial", "rtt")


def contestant(name: str, script: str, kind: str = "peer") -> Contestant:
    return Contestant(name, kind, lambda: [sys.executable, "-c", script], frozenset({"rtt", "big"}))


def measure(*contestants: Contestant, trials: tuple[Trial, ...] = (TRIAL,)) -> Results:
    return run(trials, contestants, rounds=3, quick=True, say=lambda text: None)


def test_every_contestant_has_its_turn_in_every_round() -> None:
    results = measure(contestant("one", GOOD), contestant("two", GOOD))
    assert results.rounds == {"a trial": {"one": [{"n": 1}] * 3, "two": [{"n": 1}] * 3}}
    assert results.absent == {}


@pytest.mark.parametrize(
    ("script", "reason"),
    [(DIES_AT_ONCE, "status 3"), (DIES_LATER, "its driver ended"), (COMPLAINS, "no luck")],
)
def test_peer_that_fails_is_left_out_and_named(script: str, reason: str) -> None:
    results = measure(contestant("good", GOOD), contestant("bad", script))
    assert list(results.rounds["a trial"]) == ["good"]
    assert reason in results.absent["bad"]


@pytest.mark.parametrize("script", [DIES_AT_ONCE, DIES_LATER, COMPLAINS])
def test_floor_that_fails_costs_its_trial_and_no_other(script: str) -> None:
    bad = Contestant("bad", "floor", lambda: [sys.executable, "-c", script], frozenset({"big"}))
    trials = (Trial("first", "rtt"), Trial("second", "big"), Trial("third", "rtt"))
    results = measure(contestant("good", GOOD), bad, trials=trials)
    assert set(results.rounds) == {"first", "third"}
    assert list(results.failures) == ["second"]
    assert "bad" in results.failures["second"]


def test_driver_that_failed_is_started_anew_for_the_next_trial() -> None:
    answers_one_verb = """
import sys
print("{}", flush=True)
for line in sys.stdin:
    print('{"error": "no luck"}' if "rtt" in line else '{"n": 1}', flush=True)
"""
    trials = (TRIAL, Trial("another", "big"))
    results = measure(contestant("ours", answers_one_verb, kind="ours"), trials=trials)
    assert results.failures == {"a trial": "ours: no luck"}
    assert results.rounds == {"another": {"ours": [{"n": 1}] * 3}}


def test_contestant_that_cannot_take_part_says_why() -> None:
    absent = Contestant("absent", "peer", list, frozenset({"rtt"}), lambda: "it is not here")
    results = measure(contestant("good", GOOD), absent)
    assert results.absent == {"absent": "it is not here"}
