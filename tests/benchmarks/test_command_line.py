"""What the command does with results: where they go, and with which status it ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import document, page, picture, report
from tests.benchmarks.board import made

pytestmark = pytest.mark.edges


def call(monkeypatch: pytest.MonkeyPatch, results: Any, *arguments: str) -> int:
    """The status of a run that measures nothing and has these results."""
    monkeypatch.setattr(report, "make", lambda rows, **options: results)
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    return command.main()


def test_failed_measurement_ends_in_status_one_and_everything_else_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "results.json"
    assert call(monkeypatch, made(), "--json", str(file), "rtt") == 1
    kept = document.read(file)
    assert kept["failures"] == {"other": "ours: no luck"}
    assert {figure["title"] for figure in kept["figures"]} == {"trip", "rate", "free"}
    assert call(monkeypatch, {**made(), "failures": {}}, "rtt") == 0


def test_whole_run_fills_the_page_and_part_of_one_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text("<!-- figures -->\n<!-- end -->\n")
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(picture, "missing", lambda: "nobody draws here")
    for part in (["rtt"], ["--quick"], ["--no-peers"]):
        call(monkeypatch, made(), *part)
        assert page.stored() == []
    call(monkeypatch, made(python="3.12.1"))
    assert page.stored() == [tmp_path / "results-3.12.json"]
    assert "| trip | 2 µs |" in page.PAGE.read_text()
    assert "nobody draws here" in capsys.readouterr().out
