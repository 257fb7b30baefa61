"""The calls of one plugin, counted by command: on the way of every call, so as little as can be.

A call is two steps here, `row.started += 1` and `row.end(seconds)` or `row.fail(seconds, error)`: 0.4 to
0.7 µs together. Invariant: whatever names callers think of, a plugin has at most `COMMANDS` rows and a row
at most `ERRORS` names of errors; the rest is counted under `OTHER`. Used from one thread at a time.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from plugin_host.errors import CallError

from .histogram import BOUNDS, BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .snapshot import CallFigures

__all__ = ["COMMANDS", "ERRORS", "OTHER", "CallRow", "CallTable", "count_error", "name_of"]

COMMANDS = 128
ERRORS = 16
OTHER = "_other"
"""Stands for all names that have no place of their own."""

_NAME_CHARACTERS = 128


class CallRow:
    """The calls of one command. `started` counts those that began; `buckets` those that ended, by time."""

    __slots__ = ("buckets", "failures", "seconds", "started")

    def __init__(self) -> None:
        self.started = 0
        self.seconds = 0.0
        self.buckets = [0] * BUCKETS
        self.failures: dict[str, int] = {}

    def end(self, seconds: float) -> None:
        """A call has ended."""
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1

    def end_many(self, count: int, seconds: float) -> None:
        """So many calls have ended that took so long each."""
        self.seconds += count * seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += count

    def fail(self, seconds: float, error: BaseException) -> None:
        """A call has ended otherwise than with its result."""
        self.end(seconds)
        count_error(self.failures, error)

    def figures(self) -> CallFigures:
        """It as plain numbers."""
        finished = sum(self.buckets)
        return {
            "started": self.started,
            "finished": finished,
            "in_flight": self.started - finished,
            "failures": dict(sorted(self.failures.items())),
            "seconds": self.seconds,
            "buckets": list(self.buckets),
        }


class CallTable(dict[str, CallRow]):
    """The rows of one plugin by command: `table[command]`, for any name.

    `offers(command)` says whether the plugin has such a command; it is asked once for each.
    """

    def __init__(self, offers: Callable[[str], bool]) -> None:
        super().__init__()
        self._offers = offers

    def __missing__(self, command: object) -> CallRow:
        is_known = (
            isinstance(command, str)
            and len(self) < COMMANDS
            and len(command) <= _NAME_CHARACTERS
            and self._offers(command)
        )
        name = str(command) if is_known else OTHER
        row = self.get(name)
        if row is None:
            row = self[name] = CallRow()
        return row

    def figures(self) -> dict[str, CallFigures]:
        """All rows as plain numbers, by name."""
        return {name: self[name].figures() for name in sorted(self)}


def name_of(error: BaseException) -> str:
    """The name that an error is counted under."""
    if isinstance(error, CallError):
        return error.name if isinstance(error.name, str) else OTHER
    # What is no `Exception` is no failure of the call: its caller was cancelled, interrupted, or left.
    return type(error).__name__ if isinstance(error, Exception) else "rpc.cancelled"


def count_error(failures: dict[str, int], error: BaseException) -> None:
    """One more of its name, in a map that stays small."""
    name = name_of(error)
    if name not in failures and (len(failures) >= ERRORS or len(name) > _NAME_CHARACTERS):
        name = OTHER
    failures[name] = failures.get(name, 0) + 1
