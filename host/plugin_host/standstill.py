"""Whether the calls of one plugin go on: told from what it says of them, one answer after the other.

Pure: times are arguments, in seconds of any steady clock. Calls stand still while some wait to begin and
none of those that have begun ends. One that runs and has nobody behind it may take as long as it likes.
What else the plugin sends meanwhile is no progress: its logs say nothing of its calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .vitals import Vitals

__all__ = ["Standstill"]


class Standstill:
    """Of the calls of one plugin.

    `since` is when an answer found some waiting, after which none has ended; None while they go on, or the
    plugin does not say. `seen` counts the answers that confirmed it.
    """

    __slots__ = ("_finished", "seen", "since")

    def __init__(self) -> None:
        self.since: float | None = None
        self.seen = 0
        self._finished = 0  # by the answer at `since`

    def see(self, now: float, vitals: Vitals | None, least_s: float) -> bool:
        """Take an answer in; whether it confirms a standstill that has lasted for `least_s` seconds."""
        waiting, finished = (vitals.waiting, vitals.finished) if vitals is not None else (None, None)
        if not waiting or finished is None:
            self.since, self.seen = None, 0
        elif self.since is None or finished > self._finished:
            self.since, self.seen, self._finished = now, 0, finished
        elif now - self.since >= least_s:
            self.seen += 1
            return True
        return False

    def excuse(self, seconds: float) -> None:
        """For so long the host was away, and so may the plugin have been."""
        if self.since is not None:
            self.since += seconds
