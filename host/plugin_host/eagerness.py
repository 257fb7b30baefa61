"""Whether who makes a lone call looks for its answer at once, before the loop does.

Where host and plugin share a processor, the plugin has often answered before the host goes on. Then a look
where the call was made is the whole wait: the task is not suspended, and the loop has no turn. Elsewhere
such a look is in vain. So what was found, and at what price, decides how many calls go without one.

Invariants: looks in vain cost the calls between them `_FAIR_S` each at most; calls that follow each other
keep the loop from its other work for `ROW_S` and one look at most.
"""

from __future__ import annotations

__all__ = ["ROW_S", "SLOW_S", "Eagerness"]

SLOW_S = 0.0002
"""A look that took longer than this many seconds has let others run, and counts as one in vain."""

ROW_S = 0.001
"""So many seconds of looks in a row, and the next answer is the loop's to bring."""

_FAIR_S = 10e-6
_MOST = 1024  # calls between two looks, but for slow ones


class Eagerness:
    """`pause` is how many calls go without a look: who makes one that does takes one off. `row` is how
    long the looks took since the loop had a turn: who finds an answer adds to it."""

    __slots__ = ("_next", "pause", "row")

    def __init__(self) -> None:
        self.pause = 0
        self.row = 0.0
        self._next = 1  # the pause after the next look in vain, doubled by each that follows on another

    def __repr__(self) -> str:
        return f"<Eagerness pause={self.pause}>"

    def end_row(self, seconds: float) -> None:
        """The last look, of so many seconds, has brought the answer, but took longer than `SLOW_S`, or
        `row` is more than `ROW_S` with it: the next is brought by the loop."""
        if seconds > SLOW_S:
            self.missed(seconds)
        else:
            self.row = 0.0
            self.pause = self._next = 1

    def missed(self, seconds: float) -> None:
        """A look that took so long has not brought it."""
        if self.row:  # the one before has
            self._next = 1
        self.row = 0.0
        self.pause = max(self._next, int(seconds / _FAIR_S))
        self._next = min(2 * self._next, _MOST)
