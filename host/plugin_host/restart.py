"""Whether and when a plugin that ended is started again.

Pure: times come in, a decision goes out. Invariants: no pause is longer than `backoff_max_s`; when
`max_failures` failures lie within `window_s`, the plugin is given up.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .death import Phase
from .errors import CrashLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from .death import DeathReport
    from .manifest import Restart

__all__ = ["HEALTHY_S", "Decision", "RestartLedger"]

HEALTHY_S = 60.0
"""A plugin that was ready for this long has recovered: the next pause is short again."""

_STORIES = 16
_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do: `restart` after `delay` seconds; `gave_up` says that it failed too often. `words` is the
    sentence for it."""

    restart: bool
    delay: float = 0.0
    gave_up: bool = False
    words: str = ""


class RestartLedger:
    """The failures of one plugin, and what follows from them under a policy.

    The pause before a restart is chosen evenly between 0 and a bound that doubles with every failure in a
    row ("full jitter"), so that plugins which failed together do not come back together. Where no process
    came to be it is at least half of that: what lacks there takes its time.
    """

    def __init__(self, policy: Restart, draw: Callable[[float, float], float] = random.uniform) -> None:
        self.policy = policy
        self.restarts = 0
        self._draw = draw
        self._row = 0
        self._is_counted = False  # the end that was decided about last
        self._times: deque[float] = deque()
        self._stories: deque[DeathReport] = deque(maxlen=_STORIES)

    @property
    def stories(self) -> tuple[DeathReport, ...]:
        """The reports of the failures that count now, the oldest first."""
        return tuple(self._stories)[-len(self._times) :] if self._times else ()

    def ended(
        self, report: DeathReport, now: float, *, ready_for: float, is_scarce: bool = False
    ) -> Decision:
        """The plugin ended at `now` (any clock, in seconds) after `ready_for` seconds of being ready.

        `is_scarce` says that the host had nothing to start it with, which does not count as a failure.
        """
        policy = self.policy
        self._is_counted = report.is_failure and not is_scarce
        if ready_for >= HEALTHY_S:
            self._row = 0
        if self._is_counted:
            self._count(now)
        elif not report.is_failure and policy.policy != "always":
            return Decision(restart=False, words="It ended by itself and is not started again.")
        if policy.policy == "never":
            return Decision(restart=False, words="It is not started again: its restart policy is never.")
        if self._is_counted and len(self._times) >= policy.max_failures:
            words = f"It failed {policy.max_failures} times {self._window()} and is not started again."
            return Decision(restart=False, gave_up=True, words=words)
        bound = min(policy.backoff_max_s, policy.backoff_initial_s * 2 ** min(self._row, _MOST_DOUBLINGS))
        self._row += 1
        self.restarts += 1
        delay = self._draw(bound / 2 if report.phase is Phase.SPAWN else 0.0, bound)
        return Decision(restart=True, delay=delay, words=f"It is started again in {delay:.1f} s.")

    def tell(self, report: DeathReport) -> None:
        """The report of the end that was just decided about, complete with what follows."""
        if self._is_counted:
            self._stories.append(report)

    def crash_loop(self, plugin: str) -> CrashLoop:
        """Why the plugin was given up: the story of each failure."""
        reports = self.stories
        text = f"plugin `{plugin}` failed {len(reports)} times {self._window()} and is not started again"
        lines = "".join(f"\n    {report.story()}" for report in reports)
        return CrashLoop(f"{text}:{lines}", plugin=plugin, reports=reports)

    def forgive(self) -> None:
        """Somebody starts it by hand: what was before does not count any more."""
        self._row = 0
        self._times.clear()
        self._stories.clear()

    def _count(self, now: float) -> None:
        self._times.append(now)
        while self._times and self._times[0] <= now - self.policy.window_s:
            self._times.popleft()

    def _window(self) -> str:
        return f"within {self.policy.window_s:g} s"
