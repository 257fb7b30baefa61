"""Whether one plugin is well: what counts as a sign of life, when to ask for one, when it is enough.

Pure: times are arguments, in seconds of any steady clock. A plugin is asked only when its line was silent
for a whole interval, when a call has waited for one, or while it is not well; one that nothing was asked
of either, and that has answered before, is left in peace ever longer. The three signs are kept
apart: the process is its reaper's to watch; an answer of any kind says that the reader lives; its content
says how the calls and the event loop are. Invariant: time in which the host itself was away is not held
against a plugin.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .manifest import Health

__all__ = ["MOVES", "Condition", "HealthMonitor", "HealthVerdict", "Sign", "Vitals"]

# The most looks at which one that is well, silent and unused is not asked, after one at which it was.
_LONGEST_PEACE = 5

_NAME_CHARACTERS = 200
_MOST_MS = 1e12  # what is more is no number of milliseconds


class Condition(StrEnum):
    """How a plugin is."""

    WELL = "well"
    LATE = "late"
    UNRESPONSIVE = "unresponsive"


class Sign(StrEnum):
    """What was seen of it: an answer that leaves nothing to wish, a miss, or as many as are enough."""

    ANSWER = "answer"
    MISS = "miss"
    ENOUGH = "enough"


MOVES: dict[tuple[Condition, Sign], Condition] = {
    (Condition.WELL, Sign.ANSWER): Condition.WELL,
    (Condition.WELL, Sign.MISS): Condition.LATE,
    (Condition.WELL, Sign.ENOUGH): Condition.UNRESPONSIVE,
    (Condition.LATE, Sign.ANSWER): Condition.WELL,
    (Condition.LATE, Sign.MISS): Condition.LATE,
    (Condition.LATE, Sign.ENOUGH): Condition.UNRESPONSIVE,
    (Condition.UNRESPONSIVE, Sign.ANSWER): Condition.WELL,
    (Condition.UNRESPONSIVE, Sign.MISS): Condition.UNRESPONSIVE,
    (Condition.UNRESPONSIVE, Sign.ENOUGH): Condition.UNRESPONSIVE,
}


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a plugin's reader says of its calls; None is what it did not say.

    `running` calls have begun, `waiting` ones have not, `finished` were answered since its start. `oldest`
    is the name of the call that runs longest, for `oldest_s` seconds. `loop_s` is how long its event loop
    has not come round; 0 when it does.
    """

    running: int | None = None
    waiting: int | None = None
    finished: int | None = None
    oldest: str | None = None
    oldest_s: float | None = None
    loop_s: float | None = None

    @classmethod
    def from_wire(cls, answer: Any) -> Vitals | None:
        """Of whatever came as an answer, what can be used; None when that is nothing."""
        if not isinstance(answer, dict):
            return None
        oldest = answer.get("oldest")
        return cls(
            running=_count(answer.get("running")),
            waiting=_count(answer.get("waiting")),
            finished=_count(answer.get("finished")),
            oldest=oldest[:_NAME_CHARACTERS] if isinstance(oldest, str) else None,
            oldest_s=_seconds(answer.get("oldest_ms")),
            loop_s=_seconds(answer.get("loop_ms")),
        )


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """Why a plugin is held to be unresponsive.

    `cause` is `silent` when its reader does not answer, `loop` when its event loop does not come round;
    `seconds` is for how long, `misses` how often that was seen. `vitals` are the last it gave.
    """

    cause: Literal["silent", "loop"]
    seconds: float
    misses: int
    vitals: Vitals | None = None

    def describe(self) -> str:
        """It in words, to follow "plugin `x` is unresponsive: "."""
        if self.cause == "silent":
            return f"it has not answered for {self.seconds:.1f} s"
        text = f"its event loop has not come round for {self.seconds:.1f} s"
        vitals = self.vitals
        if vitals is not None and vitals.oldest is not None and vitals.oldest_s is not None:
            text += f"; its oldest call is `{vitals.oldest}`, for {vitals.oldest_s:.1f} s"
        return text


class HealthMonitor:
    """One plugin's health under one policy, from `now` on.

    At `due` its driver calls `expire` while a question is open (`is_asking`), else `look`. `expire` and
    `answered` return the new condition when it is one to tell of: unresponsive, or well again after that.
    """

    __slots__ = (
        "_asked",
        "_lags",
        "_misses",
        "_peace",
        "_policy",
        "_spared",
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
        self._peace = 0  # looks after a good answer at which it need not be asked again
        self._spared = 0  # how many of them there were

    @property
    def is_asking(self) -> bool:
        """Whether a question is open. There is never more than one: a dead reader is not fed more."""
        return self._asked is not None

    def look(self, now: float, *, heard: bool, stuck: bool, used: bool = True) -> bool:
        """An interval is over; whether to ask now.

        `heard`: something came from the plugin since the last look. `stuck`: a call that was its oldest
        at the last look still is. `used`: something was sent to it since, or it has a call in flight.
        """
        self.due = self._next_look(self._policy, now)
        if heard or stuck or used or self.condition is not Condition.WELL:
            self._peace = self._spared = 0
        elif self._spared < self._peace:
            self._spared += 1
            return False
        return not heard or stuck or self.condition is not Condition.WELL

    def asked(self, now: float) -> None:
        """The question was sent."""
        self._asked = now
        self.due = now + self._policy.timeout_s

    def expire(self, now: float) -> Condition | None:
        """The time for the answer, or another interval, is over: a miss, unless the host was away."""
        policy = self._policy
        if now - self.due > policy.timeout_s / 2:
            # Suspended, or blocked: then so may the plugin have been, and its time begins again.
            self.due = now + policy.timeout_s
            return None
        self._misses += 1
        self.missed += 1
        self.due += policy.interval_s
        return self._move(Sign.ENOUGH if self._misses >= policy.misses else Sign.MISS)

    def answered(self, now: float, vitals: Vitals | None) -> Condition | None:
        """The reader answered, late or not; with what, if it was asked for vitals."""
        policy = self._policy
        self._asked = None
        self._misses = 0
        self.vitals = vitals or self.vitals
        self.due = self._next_look(policy, now)
        if vitals is None or vitals.loop_s is None or vitals.loop_s < policy.timeout_s:
            self._lags = 0
            self._peace, self._spared = min(2 * self._peace + 1, _LONGEST_PEACE), 0
            return self._move(Sign.ANSWER)
        self._lags += 1
        self.missed += 1
        return self._move(Sign.ENOUGH if self._lags >= policy.misses else Sign.MISS)

    def verdict(self, now: float) -> HealthVerdict:
        """Why it is unresponsive."""
        if self._asked is not None:
            return HealthVerdict("silent", now - self._asked, self._misses, self.vitals)
        lag = self.vitals.loop_s if self.vitals else None
        return HealthVerdict("loop", lag or 0.0, self._lags, self.vitals)

    def _move(self, sign: Sign) -> Condition | None:
        old, new = self.condition, MOVES[self.condition, sign]
        self.condition = new
        is_told = new is not old and Condition.UNRESPONSIVE in (old, new)
        return new if is_told else None

    @staticmethod
    def _next_look(policy: Health, now: float) -> float:
        """The next multiple of the interval: so all plugins of one interval are looked at together."""
        interval = policy.interval_s
        due = (now // interval + 1) * interval
        return due if due > now else due + interval  # a multiple of 0.05 is not quite one


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _seconds(value: object) -> float | None:
    return value / 1000 if type(value) in (int, float) and 0 <= value < _MOST_MS else None  # type: ignore[operator]
