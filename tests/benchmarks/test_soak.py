"""The soak in its short form, as everybody runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.edges

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.deadline(90)
def test_few_seconds_of_soak_lose_nothing_and_leave_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--seconds", "5", "--sessions", "12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n0 violations\n" in done.stdout
    assert "ends seen" in done.stdout
