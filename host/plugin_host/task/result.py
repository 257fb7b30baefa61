"""How a task ended, as an embedder is told."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TaskResult"]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """`code` or `signal` (a name) where it was a program's end, `reason` in words.

    `started` and `ended` are seconds since the epoch; `started` is None when nothing ever ran. One that was
    killed because its time was over, as `timed_out` says, is no success, whatever its program made of it.
    """

    success: bool
    code: int | None
    signal: str | None
    reason: str
    started: float | None
    ended: float
    timed_out: bool = False
