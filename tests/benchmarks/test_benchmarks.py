"""The benchmarks as they are run: a table with ratios, verdicts and machine-readable figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.effort import IS_LONG

pytestmark = pytest.mark.edges

ROOT = Path(__file__).resolve().parents[2]

TAKES_LONG = pytest.mark.skipif(not IS_LONG, reason="takes long: `tox -e long` runs it")


def run_benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.deadline(60)
def test_table_has_a_ratio_to_the_floor_and_a_verdict_for_each_budget(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = run_benchmarks("--quick", "--rounds", "1", "--no-peers", "--json", str(file), "rtt", "cold")
    assert done.returncode == 0, done.stderr
    assert "load" in done.stdout.splitlines()[1]
    line = next(line for line in done.stdout.splitlines() if "echo round trip, one processor" in line)
    assert line.split()[0] in ("MISSED", "?")  # go-plugin took no part, so it cannot all be met
    assert "≤ 1.25 x floor: " in line
    assert "≤ 0.5 x go-plugin: not measured" in line
    document = json.loads(file.read_text())
    assert document["machine"]["rounds"] == 1
    by_title = {figure["title"]: figure for figure in document["figures"]}
    cold = by_title["cold start to first reply, untyped"]
    assert min(cold["values"]["ours"], cold["values"]["interpreter"]) > 0
    assert [budget["budget"] for budget in cold["budgets"]] == ["≤ 2.2 x floor"]
    assert cold["ratios"]["interpreter"] == cold["budgets"][0]["measured"]
    assert {figure["row"] for figure in document["figures"]} == {"rtt", "cold"}


@pytest.mark.deadline(90)
@pytest.mark.parametrize(
    "rows",
    [
        ("ping", "memory", "many"),
        pytest.param(("flight", "big", "blocking"), marks=TAKES_LONG),
        pytest.param(("warm", "ten", "discovery"), marks=TAKES_LONG),
    ],
)
def test_every_measurement_of_ours_gives_its_figures(tmp_path: Path, rows: tuple[str, ...]) -> None:
    file = tmp_path / "figures.json"
    done = run_benchmarks("--quick", "--rounds", "1", "--no-peers", "--json", str(file), *rows)
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text())
    assert document["unmeasured"] == []
    figures = document["figures"]
    assert {figure["row"] for figure in figures} == set(rows)
    assert all(figure["values"][figure["subject"]] > 0 for figure in figures)


@pytest.mark.deadline(60)
def test_profile_names_the_costs_of_both_sides() -> None:
    done = run_benchmarks("profile", "--quick", "rtt", "cold")
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert text.index("cold start: ") < text.index("plugin_host_sdk") < text.index("one call at a time: ")
    host, plugin = text.index("  host: "), text.index("  plugin: ")
    assert "plugin_host/link.py" in text[host:plugin]
    assert "plugin_host_sdk/alone.py" in text[plugin:]


def test_row_that_does_not_exist_is_named_beside_those_that_do() -> None:
    done = run_benchmarks("rttt")
    assert done.returncode == 2
    assert "no row 'rttt'" in done.stderr
    assert "rtt, flight, ping" in done.stderr


def test_peer_without_its_tools_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import peer_goplugin

    monkeypatch.setitem(os.environ, "PATH", "/nonexistent")
    assert "apt-get install golang-go" in (peer_goplugin.missing() or "")
