"""Whether who makes a lone call looks for its answer at once, before the loop does.

Where host and plugin share a processor, the plugin has often answered before the host goes on. Then a look
where the call was made is the whole wait: the task is not suspended, and the loop has no turn. Elsewhere
such a look is in vain. So what was found, and at what price, decides how many calls of a link go without
one (`Eagerness`), and what the loop owes to others decides for all of its links (`Row`).

Invariants: a look in vain costs each of the calls that follow a few microseconds at most; whatever is ready
to run comes before a look, so that a task that was just made begins when another calls, and of two that
call side by side none waits for the other's look; answers that are found one after the other keep the loop
from what comes meanwhile for `ROW_S`, and for the last look and what its caller does then.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sized

__all__ = ["ROW_S", "SLOW_S", "UNTOLD", "Eagerness", "Row", "row_of"]

SLOW_S = 0.0002
"""A look that took longer than this many seconds has let others run, and counts as one in vain."""

ROW_S = 0.002
"""So many seconds since the first answer that was found, and the next is the loop's to bring."""

# What a call may lose by looks that others made in vain. One that was slow has not only taken its time: who
# gave way is behind those that it has let run, too.
_FAIR_S = 10e-6
_FAIR_OF_SLOW_S = 1e-6
_MOST = 1024  # calls between two looks, but for slow ones


UNTOLD = (None, None)
"""What is `ready` in a loop that does not tell: more than the end of a row."""


class Eagerness:
    """Of one link. `pause` is how many calls go without a look: who makes one that does takes one off.

    `next` is the pause after the next look in vain, doubled by each that follows on another; who has found
    an answer within `SLOW_S` sets it to 1.
    """

    __slots__ = ("next", "pause")

    def __init__(self) -> None:
        self.pause = 0
        self.next = 1

    def __repr__(self) -> str:
        return f"<Eagerness pause={self.pause}>"

    def missed(self, seconds: float) -> None:
        """A look has not brought the answer, or took longer than `SLOW_S` for it."""
        fair = _FAIR_OF_SLOW_S if seconds > SLOW_S else _FAIR_S
        self.pause = max(self.next, int(seconds / fair))
        self.next = min(2 * self.next, _MOST)


class Row:
    """The answers that were found since a loop had a turn, whoever looked for them.

    It `is_open` from the first to the turn, and up to the time `until` more may be looked for. `ready` is
    what the loop runs in its next turn, of which the row's own end is one: while there is anything else,
    nobody looks. Loops that do not tell have `UNTOLD` there at all times.
    """

    __slots__ = ("is_open", "ready", "until")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.is_open = False
        self.until = 0.0
        ready = getattr(loop, "_ready", None)  # asyncio's own word for it, and no public one
        self.ready: Sized = ready if isinstance(ready, deque) else UNTOLD

    def begin(self, loop: asyncio.AbstractEventLoop, since: float) -> None:
        """The first answer since a turn was found, by a look that began then."""
        self.is_open, self.until = True, since + ROW_S
        loop.call_soon(self._end)

    def _end(self) -> None:
        self.is_open = False


_rows: WeakKeyDictionary[asyncio.AbstractEventLoop, Row] = WeakKeyDictionary()


def row_of(loop: asyncio.AbstractEventLoop) -> Row:
    """The one that all links of a loop share."""
    row = _rows.get(loop)
    if row is None:
        row = _rows[loop] = Row(loop)
    return row
