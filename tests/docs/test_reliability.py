"""Every test that the page on reliability names is there, so that the page promises nothing by itself."""

from __future__ import annotations

import ast
import re

import pytest

from tests.source import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| ---")]


def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_test_that_is_named_exists(file: str, name: str) -> None:
    assert name in functions(file)


def test_every_row_names_a_test() -> None:
    rows = [row for row in ROWS if not row.startswith(("| fault |", "| complaint |"))]
    assert len(rows) > 50
    assert [row for row in rows if "::test_" not in row] == []
