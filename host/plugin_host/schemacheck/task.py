"""What is asked of a check, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "Task"]


@dataclass(frozen=True, slots=True)
class Task:
    """A schema, and the settings to be held against it; None for a look at the schema alone."""

    schema: dict[str, Any]
    settings: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """`settings` with defaults, or `text`: what is wrong at `steps`, and of which of the two."""

    settings: dict[str, Any] | None = None
    of_schema: bool = False
    steps: tuple[str | int, ...] = ()
    text: str = ""
