"""The programs in `examples` do what they say, by the line that is in them."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.source import ROOT

NIGHTLY = ROOT / "examples" / "nightly" / "nightly.py"


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, capture_output=True, text=True, timeout=18, check=False
    )


def test_nightly_job_runs_a_script_fetches_an_archive_and_reports(tmp_path: Path) -> None:
    ended = run(NIGHTLY, tmp_path, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (0, "")
    *live, title, inventory, pack = ended.stdout.splitlines()
    assert live[0] == "  stdout: looking at file systems"
    assert live[-1] == "  log: packed 3 files"
    assert title.split() == ["STEP", "RESULT", "TIME", "REMARK"]
    assert inventory.split()[:2] == ["inventory", "ok"]
    assert pack.split()[:2] == ["pack", "ok"]
    archive = tmp_path / "inventory.tar.gz"
    assert f" {archive.stat().st_size} bytes, SHA-256 " in pack
    with tarfile.open(archive) as packed:
        assert sorted(packed.getnames()) == ["filesystems.txt", "processes.txt", "users.txt"]


@pytest.mark.edges
def test_nightly_job_that_fails_says_where_and_ends_with_1(tmp_path: Path) -> None:
    ended = run(NIGHTLY, tmp_path / "missing", cwd=ROOT)
    assert ended.returncode == 1
    assert "pack        failed" in ended.stdout
