"""Who takes part in measurements: what each can be measured at, and how its driver is started."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Contestant", "needs", "python"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One system under measurement. `missing` says why it cannot take part, or None.

    Several may have one name as long as no verb is known to two of them: what is measured of each is
    then measured in a driver of its own.
    """

    name: str
    kind: str  # floor, ours or peer
    command: Callable[[], list[str]]
    verbs: frozenset[str]
    missing: Callable[[], str | None] = lambda: None


def python(module: str) -> Callable[[], list[str]]:
    """The command of a driver that is a module of this package."""
    return lambda: [sys.executable, "-m", "benchmarks.driver", module]


def needs(package: str, install: str = "") -> Callable[[], str | None]:
    """Absent unless the package can be imported; `install` is its name where that is another."""

    def missing() -> str | None:
        if importlib.util.find_spec(package) is None:
            return f"not installed (pip install {install or package})"
        return None

    return missing
