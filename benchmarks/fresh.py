"""A driver whose every measurement runs in a process of its own.

Memory that one measurement has freed would be used again by the next, which would seem to need none.
"""

from __future__ import annotations

import json
import subprocess
import sys

__all__ = ["FreshDriver"]

_LONGEST_S = 60.0


class FreshDriver:
    """Runs `python -m benchmarks.MODULE SECONDS`, whose last line of output is its figures."""

    def __init__(self, module: str) -> None:
        self._command = [sys.executable, "-m", f"benchmarks.{module}"]

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        done = subprocess.run(
            [*self._command, str(seconds)], stdout=subprocess.PIPE, timeout=_LONGEST_S + seconds, check=True
        )
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return figures

    def close(self) -> None:
        pass
