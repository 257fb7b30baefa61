"""The life of a task, from the moment it is wanted to the one result it has.

Pure: one table, and what it says of kills and results. Invariants: a task has one result, which nothing
changes; a result counts once the whole log before it has arrived; a kill that comes before there is
anything to kill is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass

from plugin_host.errors import InvalidPayload, ResourceConflict

__all__ = [
    "ENDED",
    "LOST",
    "OFFERED",
    "PENDING",
    "REPORTED",
    "RUNNING",
    "TRANSITIONS",
    "Outcome",
    "TaskState",
]

PENDING = "pending"  # no plugin has it
OFFERED = "offered"  # a plugin has it, and nothing runs yet
RUNNING = "running"
REPORTED = "reported"  # the plugin has said how it ended; its log is still on the way
ENDED = "ended"
LOST = "lost"  # its plugin is gone, and with it the result

TRANSITIONS: dict[str, dict[str, str]] = {
    PENDING: {"offer": OFFERED, "kill": ENDED, "lose": LOST},
    OFFERED: {"start": RUNNING, "report": REPORTED, "decline": PENDING, "lose": LOST},
    RUNNING: {"report": REPORTED, "lose": LOST},
    REPORTED: {"arrive": ENDED, "lose": LOST},
    ENDED: {},
    LOST: {},
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended: `code` or `signal` where it was a program's, `reason` in words."""

    success: bool
    code: int | None = None
    signal: str | None = None
    reason: str = ""

    def agrees(self, other: Outcome) -> bool:
        """Whether both tell of the same end; the words may differ."""
        mine, theirs = (self.success, self.code, self.signal), (other.success, other.code, other.signal)
        return mine == theirs


class TaskState:
    """Where one task is. `outcome` is the result, None before there is one; `arrived` counts log bytes."""

    def __init__(self) -> None:
        self.state = PENDING
        self.arrived = 0
        self.is_to_be_killed = False
        self._reported: Outcome | None = None
        self._total: int | None = None

    def __repr__(self) -> str:
        return f"<TaskState {self.state} log={self.arrived}>"

    @property
    def is_over(self) -> bool:
        """Whether nothing changes any more."""
        return not TRANSITIONS[self.state]

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None for one that was lost, too."""
        return self._reported if self.state == ENDED else None

    @property
    def missing(self) -> int:
        """The bytes of the log that a result waits for."""
        return 0 if self._total is None or self.is_over else self._total - self.arrived

    def offer(self) -> None:
        """A plugin takes it. Raises ResourceConflict when one has taken it already."""
        self._move("offer")

    def decline(self) -> None:
        """The plugin gives it back before anything ran; it ends here when it is to be killed."""
        self._move("decline")
        if self.is_to_be_killed:
            self.kill()

    def start(self) -> bool:
        """What it is to run, runs now; whether that is to be killed at once. Once: see `offer`."""
        self._move("start")
        return self.is_to_be_killed

    def log(self, size: int) -> None:
        """`size` more bytes of the log have arrived."""
        self.arrived += size
        self._settle()

    def report(self, outcome: Outcome, total: int | None = None) -> None:
        """The plugin's result, after a log of `total` bytes, None for those that have arrived.

        The first one counts, and may be repeated.

        Raises ResourceConflict for another one, and for one of a task that no plugin has or that was lost;
        InvalidPayload for a log that is shorter than what has arrived.
        """
        if self._reported is not None:
            self._check_same(self._reported, outcome)
            return
        total = self.arrived if total is None else total
        if total < self.arrived:
            raise InvalidPayload(f"the report says {total} bytes of log, and {self.arrived} have arrived")
        self._move("report")
        self._reported, self._total = outcome, total
        self._settle()

    def kill(self) -> bool:
        """It is to end; whether there is something that has to be killed for it now.

        What no plugin has taken ends at once. What has not started is killed when it does. One whose end
        was reported has nothing left to kill.
        """
        if self.state == PENDING:
            self._reported = Outcome(False, reason="it was killed before a plugin took it")
            self._move("kill")
        elif not self.is_over:
            self.is_to_be_killed = True
        return self.state == RUNNING

    def lose(self) -> bool:
        """Its plugin is gone; whether the result is lost with it."""
        if self.is_over:
            return False
        self._move("lose")
        return True

    def _settle(self) -> None:
        if self._total is not None and self.state == REPORTED and self.arrived >= self._total:
            if self.arrived > self._total:
                raise InvalidPayload(f"the log has gone on behind the {self._total} bytes of the report")
            self._move("arrive")

    def _move(self, event: str) -> None:
        following = TRANSITIONS[self.state].get(event)
        if following is None:
            raise ResourceConflict(f"a task that is {self.state} takes no {event!r}")
        self.state = following

    def _check_same(self, first: Outcome, outcome: Outcome) -> None:
        if self.state == LOST or not first.agrees(outcome):
            raise ResourceConflict(f"the task has ended already, and otherwise: {first}")
