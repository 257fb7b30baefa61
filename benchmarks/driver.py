"""The process around one contestant: `python -m benchmarks.driver NAME`.

Says `{}` when ready, then answers each line of standard input, an order `{"verb", "seconds"}`, with a
line of figures or `{"error"}`; ends with its input. Standard output is kept for the answers: whatever
the contestant prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Protocol

__all__ = ["main"]


class Driver(Protocol):
    """What the module of a contestant makes with its `driver()`."""

    def measure(self, verb: str, seconds: float) -> dict[str, float]: ...

    def close(self) -> None: ...


def main(module: str) -> None:
    """Serve until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    driver: Driver = importlib.import_module(f"benchmarks.{module}").driver()
    try:
        print("{}", file=answers)
        for line in sys.stdin:
            order = json.loads(line)
            try:
                answer: object = driver.measure(order["verb"], order["seconds"])
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), file=answers)
    finally:
        driver.close()


if __name__ == "__main__":
    main(sys.argv[1])
