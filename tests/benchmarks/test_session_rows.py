"""The rows about sessions: every measurement gives its figures, beside floors of the same run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.test_benchmarks import TAKES_LONG, run_benchmarks

pytestmark = pytest.mark.edges


def figures(file: Path, *rows: str) -> dict[str, dict[str, Any]]:
    """Those of the rows, measured once, by their titles."""
    done = run_benchmarks("--quick", "--rounds", "1", "--no-peers", "--json", str(file), *rows)
    assert done.returncode == 0, done.stderr
    found = {figure["title"]: figure for figure in json.loads(file.read_text())["figures"]}
    assert {figure["row"] for figure in found.values()} == set(rows)
    return found


@pytest.mark.deadline(60)
def test_output_is_measured_beside_floors_of_the_same_run(tmp_path: Path) -> None:
    found = figures(tmp_path / "figures.json", "pipe", "io")
    output = found["pipe output, child to host"]
    assert [budget["met"] is None for budget in output["budgets"]] == [False]
    assert all(value > 0 for value in output["values"].values())
    assert len(output["values"]) == 2
    assert set(found["raw descriptors, to a program and back"]["ratios"]) == {
        "bare socketpair",
        "bare relays",
    }


@TAKES_LONG
@pytest.mark.deadline(120)
def test_terminals_keys_and_crowds_of_sessions_are_measured(tmp_path: Path) -> None:
    found = figures(tmp_path / "figures.json", "terminal", "keystroke", "sessions")
    output = found["terminal output, mean of raw and cooked"]
    assert [budget["met"] is None for budget in output["budgets"]] == [False]
    assert len(output["values"]) == 2
    (budget,) = found["keystroke echo p99 beside a pipe that floods"]["budgets"]
    assert budget["budget"] == "≤ 2.5 x idle p99"
    assert budget["measured"] > 0
    assert found["500 sessions: threads of the plugin"]["values"]["ours"] < 50
