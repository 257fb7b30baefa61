"""What is made of results without measuring: the rows, the tables, the points of the pictures, the page."""

# ruff: noqa: RUF001

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import document, page
from benchmarks.catalogue import FIGURES
from benchmarks.flatprofile import flat, largest
from benchmarks.markdown import markdown
from benchmarks.point import budget_points, ratio_points
from benchmarks.scoreboard import scoreboard
from tests.benchmarks.board import made

pytestmark = pytest.mark.edges


def table_rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|") and not line.startswith("| ---")
    ]


def test_missed_rows_come_first_and_what_misses_is_bold() -> None:
    text = markdown(scoreboard([made()]))
    assert text.index("Missed:") < text.index("Met:") < text.index("Nothing is asked of these:")
    head, trip, _, rate, *_ = table_rows(text)
    assert head == ["figure", "ours", "× floor", "× rival", "budget: measured"]
    assert trip == ["trip", "2 µs", "2.00", "0.25", "≤ 1.5 × floor: **2.00**; ≤ 0.5 × rival: 0.25"]
    assert rate == ["rate", "200 calls/s", "0.50", "4.00", "≥ 100: 200"]


def test_what_failed_is_told_with_its_reason_and_where_the_rest_was_measured() -> None:
    text = markdown(scoreboard([made()]))
    assert "- elsewhere: ours: no luck\n" in text
    assert "2026-01-01, 2 x a processor, Linux 6, Python 3.11.7, 5 rounds; rival 1.2\n" in text


def test_two_versions_of_python_stand_side_by_side() -> None:
    # 3.9 before 3.13: they are numbers.
    board = scoreboard([made(1.0, python="3.13.1"), made(2.0, python="3.9.2")])
    assert board.pythons == ["3.9", "3.13"]
    trip = next(row for row in board.rows if row.title == "trip")
    assert trip.verdict == "MISSED"
    rows = {row[0]: row for row in table_rows(markdown(board))}
    assert rows["trip"][1:3] == ["2 · 1 µs", "2.00 · 1.00"]
    assert "**2.00** · 1.00" in rows["trip"][-1]


def test_later_run_of_one_version_counts_whatever_the_order() -> None:
    early, late = made(2.0, date="2026-01-01T10:00"), made(1.0, date="2026-01-01T11:00")
    for documents in ([early, late], [late, early]):
        (row,) = [row for row in scoreboard(documents).rows if row.title == "trip"]
        assert row.first["values"]["ours"] == 1.0


def test_no_two_figures_have_one_title_so_none_takes_the_row_of_another() -> None:
    titles = [figure.title for figure in FIGURES]
    assert sorted(titles) == sorted(set(titles))
    for path in page.stored():
        stored = [figure["title"] for figure in document.read(path)["figures"]]
        assert sorted(stored) == sorted(set(stored))
        assert {row.title for row in scoreboard([document.read(path)]).rows} == set(stored) <= set(titles)


def test_points_are_costs_so_that_less_is_better_for_rates_too() -> None:
    points = {(point.title, point.against): point for point in ratio_points(scoreboard([made()]))}
    assert points["trip", "floor"].cost == 2.0
    assert points["trip", "floor"].limit == 1.5
    assert points["trip", "rival"].cost == 0.25
    assert points["rate", "floor"].cost == 2.0  # half the rate
    assert points["rate", "rival"].cost == 0.25
    assert points["rate", "floor"].limit is None


def test_budgets_are_shares_of_what_is_allowed_the_worst_first() -> None:
    points = budget_points(scoreboard([made()]))
    assert [(point.label, round(point.share, 2), point.is_met) for point in points] == [
        ("trip: ≤ 1.5 × floor", 1.33, False),
        ("rate: ≥ 100 calls/s", 0.5, True),
        ("trip: ≤ 0.5 × rival", 0.5, True),
    ]


def test_document_that_was_written_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "results.json"
    document.write(path, made(1.23456789))
    (row,) = [row for row in scoreboard([document.read(path)]).rows if row.title == "trip"]
    assert row.first["values"]["ours"] == 1.2346


def test_page_has_one_place_for_its_tables() -> None:
    assert page.filled("a\n<!-- figures -->\nold\n<!-- end -->\nb", "new") == (
        "a\n<!-- figures -->\n\nnew\n<!-- end -->\nb"
    )
    with pytest.raises(ValueError, match="0 places"):
        page.filled("no place", "new")


def test_tables_of_the_page_are_those_of_the_stored_results() -> None:
    assert page.stored()
    assert page.write(page.stored(), check=True), "run: python -m benchmarks.page"


def test_samples_are_summed_by_function_without_those_who_wait() -> None:
    found = flat(
        [
            "main (a.py:1);work (a.py:5) 3",
            "main (a.py:1);work (a.py:9) 2",
            "main (a.py:1);send (libc.so.6) 4",
            "main (a.py:1);epoll_wait (libc.so.6) 90",
            "main (a.py:1);readv (libc.so.6) 90",
            "thread (b.py:2);0x7f47b2ea3f16 (libc.so.6) 90",
        ]
    )
    assert found == {"work (a.py)": 5, "send (libc.so.6)": 4}
    named = largest({"host": found, "plugin": flat(["x (c.py:1) 1"])})
    assert named[0] == "1. work (a.py), in the host: 50% of the work of both"
    assert len(named) == 3
