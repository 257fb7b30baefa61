"""Floor of the command line: an interpreter that imports click and ends."""

from __future__ import annotations

from .ours_discovery import Started

__all__ = ["driver"]


class ClickImport(Started):
    """The driver whose only measurement is `python -c "import click"`, among the same distributions."""

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        return self.timed("-c", "import click")


def driver() -> ClickImport:
    return ClickImport()
