"""Rounds over drivers that behave and drivers that do not."""

from __future__ import annotations

import sys

import pytest

from benchmarks.catalogue import Contestant
from benchmarks.figure import Trial
from benchmarks.schedule import Results, run
from benchmarks.worker import WorkerFailed

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
    return Contestant(name, kind, lambda: [sys.executable, "-c", script])


def measure(*contestants: Contestant) -> Results:
    return run([TRIAL], contestants, rounds=3, quick=True, say=lambda text: None)


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
def test_floor_that_fails_ends_the_run(script: str) -> None:
    with pytest.raises(WorkerFailed, match="bad"):
        measure(contestant("good", GOOD), contestant("bad", script, kind="floor"))


def test_contestant_that_cannot_take_part_says_why() -> None:
    absent = Contestant("absent", "peer", list, lambda: "it is not here")
    results = measure(contestant("good", GOOD), absent)
    assert results.absent == {"absent": "it is not here"}
