"""Measures coverage in every process that an environment's interpreter starts.

``python tests/measure.py FOLDER`` prepares the environment it runs in: from then on each process
writes what it ran to a file in FOLDER. An environment variable would not do, because plugins are
given only those that they are allowed. Meant for an environment of its own: it makes each start
slower and loads modules early, which tests marked ``bare`` cannot have.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

START = '''
"""Starts measuring; written by tests/measure.py."""
import os, sys

if not sys.orig_argv[1:] or not sys.orig_argv[1].endswith("/coverage"):
    import coverage

    os.environ["COVERAGE_PROCESS_START"] = {config!r}
    os.environ["COVERAGE_FILE"] = {data!r}
    coverage.process_startup()
    del os.environ["COVERAGE_PROCESS_START"], os.environ["COVERAGE_FILE"]
'''


def install(folder: Path) -> None:
    """Let every process of this environment start measuring before anything else."""
    folder.mkdir(parents=True, exist_ok=True)
    packages = Path(sysconfig.get_path("purelib"))
    config = Path(__file__).resolve().parent.parent / "pyproject.toml"
    start = START.format(config=str(config), data=str(folder.resolve() / ".coverage"))
    packages.joinpath("measure_coverage.py").write_text(start.lstrip())
    packages.joinpath("measure_coverage.pth").write_text("import measure_coverage\n")


if __name__ == "__main__":
    install(Path(sys.argv[1]))
