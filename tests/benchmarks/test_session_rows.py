"""The rows about sessions: every measurement gives its figures, beside floors of the same run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.test_benchmarks import run_benchmarks

pytestmark = pytest.mark.edges


@pytest.mark.deadline(120)
def test_every_measurement_of_sessions_gives_its_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    rows = ("pipe", "terminal", "keystroke", "sessions", "io")
    done = run_benchmarks("--quick", "--rounds", "1", "--no-peers", "--json", str(file), *rows)
    assert done.returncode == 0, done.stderr
    figures = {figure["title"]: figure for figure in json.loads(file.read_text())["figures"]}
    assert {figure["row"] for figure in figures.values()} == set(rows)
    for title in ("pipe output, child to host", "terminal output, mean of raw and cooked"):
        assert [budget["met"] is None for budget in figures[title]["budgets"]] == [False]
        assert all(value > 0 for value in figures[title]["values"].values())
        assert len(figures[title]["values"]) == 2
    assert set(figures["raw descriptors, to a program and back"]["ratios"]) == {"bare socketpair"}
    (budget,) = figures["keystroke echo p99 beside a pipe that floods"]["budgets"]
    assert budget["budget"] == "≤ 2.5 x idle p99"
    assert budget["measured"] > 0
    assert figures["500 sessions: threads of the plugin"]["values"]["ours"] < 50
