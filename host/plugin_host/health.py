"""Whether one plugin is well: what counts as a sign of life, when to ask for one, when it is enough.

Pure: times are arguments, in seconds of any steady clock. A plugin is asked only when its line was silent
for a whole interval, when a call has waited for one, when calls waited to begin at its last answer, or
while it is not well; one that nothing was asked of either, and that has answered before, is left in peace
ever longer. The three signs are kept apart: the process is its reaper's to watch; an answer of any kind
says that the reader lives; its content says whether the event loop comes round and calls go on.
Invariants: time in which the host itself was away is not held against a plugin; none is ended because its
calls do not end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from .standstill import Standstill

if TYPE_CHECKING:
    from .manifest import Health
    from .vitals import Vitals

__all__ = ["MOVES", "TOLD", "Cause", "Condition", "HealthMonitor", "HealthVerdict", "Sign"]

# By which sign a plugin is held to be unresponsive.
Cause = Literal["silent", "loop", "stalled"]

# The most looks at which one that is well, silent and unused is not asked, after one at which it was.
_LONGEST_PEACE = 5


class Condition(StrEnum):
    """How a plugin is."""

    WELL = "well"
    LATE = "late"
    STALLED = "stalled"  # it answers, and its calls do not go on
    UNRESPONSIVE = "unresponsive"


class Sign(StrEnum):
    """What was seen of it: an answer that leaves nothing to wish, a miss, or as many as are enough.

    A stall is the miss of one that answers: its calls do not go on.
    """

    ANSWER = "answer"
    STALL = "stall"
    ENOUGH_STALLS = "enough stalls"
    MISS = "miss"
    ENOUGH = "enough"


MOVES: dict[tuple[Condition, Sign], Condition] = {
    (Condition.WELL, Sign.ANSWER): Condition.WELL,
    (Condition.WELL, Sign.STALL): Condition.LATE,
    (Condition.WELL, Sign.ENOUGH_STALLS): Condition.STALLED,
    (Condition.WELL, Sign.MISS): Condition.LATE,
    (Condition.WELL, Sign.ENOUGH): Condition.UNRESPONSIVE,
    (Condition.LATE, Sign.ANSWER): Condition.WELL,
    (Condition.LATE, Sign.STALL): Condition.LATE,
    (Condition.LATE, Sign.ENOUGH_STALLS): Condition.STALLED,
    (Condition.LATE, Sign.MISS): Condition.LATE,
    (Condition.LATE, Sign.ENOUGH): Condition.UNRESPONSIVE,
    (Condition.STALLED, Sign.ANSWER): Condition.WELL,
    (Condition.STALLED, Sign.STALL): Condition.STALLED,
    (Condition.STALLED, Sign.ENOUGH_STALLS): Condition.STALLED,
    (Condition.STALLED, Sign.MISS): Condition.STALLED,
    (Condition.STALLED, Sign.ENOUGH): Condition.UNRESPONSIVE,
    (Condition.UNRESPONSIVE, Sign.ANSWER): Condition.WELL,
    (Condition.UNRESPONSIVE, Sign.STALL): Condition.LATE,
    (Condition.UNRESPONSIVE, Sign.ENOUGH_STALLS): Condition.STALLED,
    (Condition.UNRESPONSIVE, Sign.MISS): Condition.UNRESPONSIVE,
    (Condition.UNRESPONSIVE, Sign.ENOUGH): Condition.UNRESPONSIVE,
}

# The conditions that are told of, also when one follows on the other, and when one is over.
TOLD = frozenset({Condition.STALLED, Condition.UNRESPONSIVE})


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """Why a plugin is held to be unresponsive.

    `cause` is `silent` when its reader does not answer, `loop` when its event loop does not come round,
    `stalled` when calls wait to begin and none ends. `seconds` is for how long, `misses` how often that was
    seen. `vitals` are the last it gave.
    """

    cause: Cause
    seconds: float
    misses: int
    vitals: Vitals | None = None

    @property
    def may_end(self) -> bool:
        """Whether the plugin may be ended for it. Not while it answers and a call only takes its time."""
        return self.cause != "stalled"

    def describe(self) -> str:
        """It in words, to follow "plugin `x` is unresponsive: "."""
        if self.cause == "silent":
            return f"it has not answered for {self.seconds:.1f} s"
        if self.cause == "loop":
            text = f"its event loop has not come round for {self.seconds:.1f} s"
        else:
            text = f"none of its calls has ended for {self.seconds:.1f} s{self._counts()}"
        vitals = self.vitals
        if vitals is not None and vitals.oldest is not None and vitals.oldest_s is not None:
            text += f"; its oldest call is `{vitals.oldest}`, for {vitals.oldest_s:.1f} s"
        return text

    def _counts(self) -> str:
        vitals = self.vitals
        if vitals is None or vitals.waiting is None:
            return ""
        running = f"{vitals.running} running and " if vitals.running is not None else ""
        return f", with {running}{vitals.waiting} waiting"


class HealthMonitor:
    """One plugin's health under one policy, from `now` on.

    At `due` its driver calls `expire` while a question is open (`is_asking`), else `look`. `expire` and
    `answered` return the new condition when it is one to tell of: one of `TOLD`, of which `verdict` says
    why, or what follows on one of them, which is recovery.
    """

    __slots__ = (
        "_asked",
        "_lags",
        "_misses",
        "_peace",
        "_policy",
        "_spared",
        "_standstill",
        "condition",
        "due",
        "missed",
        "vitals",
    )

    def __init__(self, policy: Health, now: float) -> None:
        self.condition = Condition.WELL
        self.vitals: Vitals | None = None
        self.missed = 0  # signs of life that did not come, since the beginning
        self.due = self._next_look(policy, now)
        self._policy = policy
        self._asked: float | None = None
        self._misses = 0  # of the question that is open
        self._lags = 0  # answers in a row that found the loop blocked
        self._standstill = Standstill()
        self._peace = 0  # looks after a good answer at which it need not be asked again
        self._spared = 0  # how many of them there were

    @property
    def is_asking(self) -> bool:
        """Whether a question is open. There is never more than one: a dead reader is not fed more."""
        return self._asked is not None

    def look(self, now: float, *, heard: bool, stuck: bool, used: bool = True) -> bool:
        """An interval is over; whether to ask now.

        `heard`: something came from the plugin since the last look. `stuck`: a call that was its oldest
        at the last look still is, or callers gave up and have no answer yet. `used`: something was sent
        to it since, or it has a call in flight.
        """
        self._excuse(now)
        self.due = self._next_look(self._policy, now)
        doubted = stuck or self._standstill.since is not None or self.condition is not Condition.WELL
        if heard or used or doubted:
            self._peace = self._spared = 0
        elif self._spared < self._peace:
            self._spared += 1
            return False
        return not heard or doubted

    def asked(self, now: float) -> None:
        """The question was sent."""
        self._asked = now
        self.due = now + self._policy.timeout_s

    def expire(self, now: float) -> Condition | None:
        """The time for the answer, or another interval, is over: a miss, unless the host was away."""
        policy = self._policy
        if self._excuse(now):
            self.due = now + policy.timeout_s  # its time begins again
            return None
        self._misses += 1
        self.missed += 1
        self.due += policy.interval_s
        return self._move(Sign.ENOUGH if self._misses >= policy.misses else Sign.MISS)

    def answered(self, now: float, vitals: Vitals | None) -> Condition | None:
        """The reader answered, late or not; with what, if it was asked for vitals."""
        self._excuse(now)
        self._asked = None
        self._misses = 0
        self.vitals = vitals or self.vitals
        self.due = self._next_look(self._policy, now)
        sign = self._read(now, vitals)
        if sign is Sign.ANSWER:
            self._peace, self._spared = min(2 * self._peace + 1, _LONGEST_PEACE), 0
        else:
            self.missed += 1
        return self._move(sign)

    def verdict(self, now: float) -> HealthVerdict:
        """Why it is in the condition that is told of."""
        standstill, vitals = self._standstill, self.vitals
        if self.condition is Condition.STALLED and standstill.since is not None:
            return HealthVerdict("stalled", now - standstill.since, standstill.seen, vitals)
        if self._asked is not None:
            return HealthVerdict("silent", now - self._asked, self._misses, vitals)
        lag = vitals.loop_s if vitals else None
        return HealthVerdict("loop", lag or 0.0, self._lags, vitals)

    def _read(self, now: float, vitals: Vitals | None) -> Sign:
        """What an answer says. A loop that is blocked may be why calls wait, so it goes before them."""
        policy = self._policy
        stands_still = self._standstill.see(now, vitals, policy.timeout_s)
        if vitals is not None and vitals.loop_s is not None and vitals.loop_s >= policy.timeout_s:
            self._lags += 1
            return Sign.ENOUGH if self._lags >= policy.misses else Sign.MISS
        self._lags = 0
        if not stands_still:
            return Sign.ANSWER
        return Sign.ENOUGH_STALLS if self._standstill.seen >= policy.misses else Sign.STALL

    def _excuse(self, now: float) -> bool:
        """Whether the host was suspended or blocked, as it comes this late: so may the plugin have been."""
        away = now - self.due
        was_away = away > self._policy.timeout_s / 2
        if was_away:
            self._standstill.excuse(away)
        return was_away

    def _move(self, sign: Sign) -> Condition | None:
        old, new = self.condition, MOVES[self.condition, sign]
        self.condition = new
        return new if new is not old and (old in TOLD or new in TOLD) else None

    @staticmethod
    def _next_look(policy: Health, now: float) -> float:
        """The next multiple of the interval: so all plugins of one interval are looked at together."""
        interval = policy.interval_s
        due = (now // interval + 1) * interval
        return due if due > now else due + interval  # a multiple of 0.05 is not quite one
