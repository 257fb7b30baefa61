"""Runs the tests many at a time, and what failed once more with nothing beside it.

    python -m tests.suite [arguments of pytest]

Two workers for each processor keep it busy while tests wait, and a test of real processes may fail for want
of a processor alone. Such a test holds when it is alone; what fails twice is a failure. Nothing is
hidden: the first failure stands in the output, and the last lines name each test that held only alone.
When more than `FEW` fail it is no accident of time, and nothing is run again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

__all__ = ["main"]

FEW = 5
WORKERS = ["-n", str(2 * (os.cpu_count() or 1)), "--dist", "worksteal"]


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        first = _pytest([*WORKERS, *arguments], folder)
        if first != pytest.ExitCode.TESTS_FAILED:
            return first
        failed = _failures(Path(folder))
        if not 0 < len(failed) <= FEW:
            return first
        print(f"\nOnce more, with nothing beside them: {len(failed)}", flush=True)
        again = _pytest([*arguments, "-n", "0", "-x", "--last-failed"], folder)
        if again == pytest.ExitCode.OK:
            print("Held only when nothing ran beside them:", *failed, sep="\n  ", flush=True)
        return again


def _pytest(arguments: list[str], cache: str) -> int:
    return subprocess.call([sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *arguments])


def _failures(cache: Path) -> list[str]:
    """What pytest remembers of its last run; nothing when it was ended before it could tell."""
    try:
        return sorted(json.loads((cache / "v/cache/lastfailed").read_bytes()))
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
