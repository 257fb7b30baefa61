"""The levels of log records, by name and as numbers."""

from __future__ import annotations

__all__ = ["LEVELS", "level_number"]

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""As numbers of `logging`."""


def level_number(level: str) -> int:
    """The number of a level. Raises ValueError, which lists them all."""
    try:
        return LEVELS[level]
    except KeyError:
        raise ValueError(f"expected a level ({', '.join(LEVELS)}), found {level!r}") from None
