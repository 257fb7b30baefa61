"""The life of an action that runs, from its acceptance to its one end.

Pure: one table, and the counts of its output. Invariants: an action ends once; a report counts when all
output before it has arrived, by both sides' count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host.errors import CallFailed
from plugin_host_sdk.types.session import StreamTarget

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ENDED", "LOST", "REPORTED", "RUNNING", "STREAMS", "TRANSITIONS", "RunState"]

STREAMS: tuple[str, ...] = tuple(StreamTarget)

RUNNING = "running"
REPORTED = "reported"  # the plugin has said how it ended; output is still on the way
ENDED = "ended"
LOST = "lost"  # its plugin is gone, or what it said cannot be true

TRANSITIONS: dict[str, dict[str, str]] = {
    RUNNING: {"report": REPORTED, "lose": LOST},
    REPORTED: {"arrive": ENDED, "lose": LOST},
    ENDED: {},
    LOST: {},
}


class RunState:
    """Where one action is. `arrived` counts the bytes of each stream, with those that were left out."""

    def __init__(self) -> None:
        self.state = RUNNING
        self.arrived = dict.fromkeys(STREAMS, 0)
        self._totals: dict[str, int] = {}
        self._ended: set[str] = set()

    def __repr__(self) -> str:
        return f"<RunState {self.state} {self.arrived}>"

    @property
    def is_over(self) -> bool:
        """Whether nothing changes any more."""
        return not TRANSITIONS[self.state]

    def arrive(self, stream: str, size: int) -> None:
        """`size` more bytes of a stream are there. Raises CallFailed when they are too many."""
        self.arrived[stream] += size
        self._settle()

    def end(self, stream: str) -> None:
        """No more of a stream comes. Raises CallFailed when bytes are missing."""
        self._ended.add(stream)
        self._settle()

    def report(self, totals: Mapping[str, int]) -> bool:
        """The plugin has said how it ended, after so much output; whether that is news.

        Raises CallFailed when the counts cannot be true.
        """
        if self.state != RUNNING:
            return False
        self.state = TRANSITIONS[self.state]["report"]
        self._totals = {stream: totals.get(stream, 0) for stream in STREAMS}
        self._settle()
        return True

    def lose(self) -> bool:
        """The plugin is gone; whether that is news."""
        following = TRANSITIONS[self.state].get("lose")
        if following is None:
            return False
        self.state = following
        return True

    def _settle(self) -> None:
        if self.state != REPORTED:
            return
        for stream, total in self._totals.items():
            arrived = self.arrived[stream]
            if arrived > total or (arrived < total and stream in self._ended):
                raise CallFailed(
                    f"{total} bytes of {stream} were reported, and {arrived} have arrived",
                    name="rpc.foreign",
                )
        if self._totals == self.arrived:
            self.state = TRANSITIONS[self.state]["arrive"]
