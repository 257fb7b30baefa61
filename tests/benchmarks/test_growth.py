"""The measurements of growth as they are run, for few of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.test_benchmarks import run_benchmarks

pytestmark = pytest.mark.edges


@pytest.mark.deadline(60)
def test_each_part_gives_figures_for_each_count_and_leaves_those_of_the_others(tmp_path: Path) -> None:
    file = tmp_path / "growth.json"
    file.write_text(json.dumps({"idle": {"100": {"host_per_min": 6}}}))
    parts = ("plugins", "calls", "sessions")
    done = run_benchmarks("growth", *parts, "--counts", "2", "--no-plot", "--json", str(file))
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text())
    assert set(document) == {"machine", "idle", *parts}
    assert document["plugins"]["2"]["start_ms"] > 0
    assert document["calls"]["2"]["per_s"] > 100
    assert document["sessions"]["2"]["echo_ms"] > 0


def test_unknown_part_is_refused() -> None:
    done = run_benchmarks("growth", "plugin")
    assert done.returncode == 2
    assert "no part 'plugin'; there are plugins, cold, calls" in done.stderr
