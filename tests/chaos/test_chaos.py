"""The suite in its short form, as everybody runs it: every kind of fault once, and nobody else notices."""

from __future__ import annotations

import secrets
import subprocess
import sys

import pytest

from .fault import FAULTS
from .part import ROOT

pytestmark = pytest.mark.edges


@pytest.mark.bare  # what watches a plugin slows its start and its answers
@pytest.mark.deadline(240)
def test_every_fault_once_is_survived_and_leaves_nothing() -> None:
    seed = secrets.token_hex(4)
    command = [sys.executable, "-m", "tests.chaos", "--seconds", "8", "--plugins", "8", "--seed", seed]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"seed {seed}\n{done.stdout}{done.stderr}"
    assert f"seed {seed}\n" in done.stdout
    assert "\n0 violations\n" in done.stdout
    assert f"faults: {len(FAULTS)}\n" in done.stdout or len(FAULTS) < _faults(done.stdout)


def _faults(output: str) -> int:
    (line,) = [line for line in output.splitlines() if line.startswith("faults: ")]
    return int(line.removeprefix("faults: ").replace(",", ""))
