"""Floor of a cold start: an interpreter that starts, does nothing and ends."""

from __future__ import annotations

import subprocess
import sys
import time

__all__ = ["InterpreterStart", "driver"]


class InterpreterStart:
    """The driver whose only measurement is `python -c pass`."""

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        before = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        return {"ms": (time.perf_counter() - before) * 1e3}

    def close(self) -> None:
        pass


def driver() -> InterpreterStart:
    return InterpreterStart()
