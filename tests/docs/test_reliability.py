"""The page about faults: every test it names is there, and its times are those of the code."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from plugin_host import hang, ladder, patience, threadstate, usage
from plugin_host.keeper import clearance, handle
from plugin_host.manifest import Health, Launch, Restart
from plugin_host.warm import childreaper, forkserver
from tests.docs.page import prose
from tests.source import ROOT

pytestmark = pytest.mark.edges

PAGE = ROOT / "docs" / "reliability.md"

TIMES: dict[str, float] = {
    "launch.start_timeout_s": Launch(argv=("x",)).start_timeout_s,
    "launch.stop_timeout_s": Launch(argv=("x",)).stop_timeout_s,
    "grace": ladder.GRACE_S,
    "kill": ladder.KILL_S,
    "health.interval_s": Health().interval_s,
    "health.timeout_s": Health().timeout_s,
    "examination": hang.ANSWER_S + hang.DUMP_S + 2 * threadstate.OBSERVED_S,
    "restart.backoff_max_s": Restart().backoff_max_s,
    "restart.window_s": Restart().window_s,
    "patience": patience.PATIENCE_S,
    "looking": usage.INTERVAL_S,
    "keeper grace": clearance.GRACE_S,
    "keeper limit": clearance.LIMIT_S,
}


def tables() -> dict[str, list[list[str]]]:
    """The rows of each table by the heading above it, without its head."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in prose(PAGE):
        if line.startswith("#"):
            heading = line.strip("# ")
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]
            found.setdefault(heading, []).append(cells)
    return {heading: rows[2:] for heading, rows in found.items()}


TABLES = tables()
FAULTS = [row for row in TABLES["Faults"] if any(row[1:])]
COMPLAINTS = TABLES["What others complain of"]


@cache
def named_in(file: str) -> frozenset[str]:
    """The names of the tests in a file below `tests`; none when there is no such file."""
    path = ROOT / "tests" / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


@pytest.mark.parametrize("row", [*FAULTS, *COMPLAINTS], ids=lambda row: row[0])
def test_every_test_that_is_named_is_there(row: list[str]) -> None:
    named = re.findall(r"`([^`]*)`", row[-1])
    for name in named:
        file, _, test = name.partition("::")
        assert test in named_in(file), f"there is no {name}"
    if not named:
        assert row[-1] == "none"
        assert "**not " in row[1], "a row without a test says what is not done"


def test_rows_are_whole() -> None:
    assert {len(row) for row in TABLES["Faults"]} == {4}
    assert {len(row) for row in COMPLAINTS} == {3}
    assert len(FAULTS) >= 40


def test_every_complaint_has_a_public_reference() -> None:
    for row in COMPLAINTS:
        assert all(re.fullmatch(r"[\w/-]+#\d+", reference) for reference in row[1].split(", ")), row


def test_times_are_those_of_the_code() -> None:
    assert {row[0].strip("`"): float(row[1]) for row in TABLES["Times"]} == TIMES


def test_names_of_times_in_the_faults_are_explained() -> None:
    for row in FAULTS:
        assert set(re.findall(r"`([^`]*)`", row[2])) <= {*TIMES, "timeout"}, row


def test_times_until_a_hang_is_found_follow_from_the_defaults() -> None:
    """In the worst case it spoke right after a look: the first interval passes without a question."""
    health = Health()
    silent = (health.misses + 1) * health.interval_s + health.timeout_s
    # What blocks a loop shows first in the second answer.
    blocked = (health.misses + 2) * health.interval_s
    within = {row[0]: row[2] for row in FAULTS}
    assert within["C code sleeps or computes with the interpreter's lock"].startswith(f"{silent:g} ")
    assert within["SIGSTOP, or a debugger"].startswith(f"{silent:g} ")
    assert within["an async handler blocks the event loop"].startswith(f"{blocked:g} ")


def test_pauses_of_the_keeper_are_those_of_the_code() -> None:
    (row,) = [row for row in FAULTS if row[0] == "the keeper is killed"]
    assert row[2] == ", ".join(f"{pause:g}" for pause in handle.PAUSES_S) + " s"


def test_waits_for_a_forkserver_that_hangs_are_those_of_the_code() -> None:
    (row,) = [row for row in FAULTS if row[0].startswith("it hangs, or a child that waits")]
    waits = (forkserver._SPARE_S, forkserver._LONG_S, childreaper.ANSWER_S)
    assert row[2] == "{:g} or {:g} for a child, {:g} for an end".format(*waits)
