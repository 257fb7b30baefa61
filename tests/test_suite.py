"""What failed among others is run again alone, and only what holds then is forgiven."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suite import FEW

pytestmark = [pytest.mark.edges, pytest.mark.deadline(60)]

ROOT = Path(__file__).parent.parent

HOLDS_ALONE = """
import os
def test_late():
    assert "PYTEST_XDIST_WORKER" not in os.environ
def test_sound():
    pass
"""


def suite(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_some.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    arguments = ["-c", f"{folder}/pytest.ini", "-p", "xdist", "-n", "1", str(folder)]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    surroundings = ours | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "tests.suite", *arguments]
    return subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)


def test_what_holds_alone_is_forgiven_and_named(tmp_path: Path) -> None:
    done = suite(tmp_path, HOLDS_ALONE)
    assert done.returncode == 0, done.stdout
    forgiven = done.stdout.partition("Held only when nothing ran beside them:")[2]
    assert forgiven.split() == ["test_some.py::test_late"]


def test_what_fails_twice_is_a_failure(tmp_path: Path) -> None:
    done = suite(tmp_path, HOLDS_ALONE + "\ndef test_wrong():\n    assert False\n")
    assert done.returncode == 1, done.stdout
    assert "Held only" not in done.stdout


def test_many_failures_are_no_accident(tmp_path: Path) -> None:
    late = HOLDS_ALONE.partition("def test_sound")[0]
    done = suite(tmp_path, late + "".join(f"test_{n} = test_late\n" for n in range(FEW)))
    assert done.returncode == 1, done.stdout
    assert "Once more" not in done.stdout
