"""How often processes were woken, and how long they ran: the kernel's own count, which costs them nothing.

A process that polls, ticks or is spoken to gives up the processor again each time: that is counted.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Activity", "activity"]


@dataclass(frozen=True, slots=True)
class Activity:
    """`wakeups` is how often one of its threads gave up the processor; `ran_s` is its processor time."""

    wakeups: int
    ran_s: float

    def since(self, before: Activity) -> Activity:
        """What happened between."""
        return Activity(self.wakeups - before.wakeups, self.ran_s - before.ran_s)


def activity(pid: int) -> Activity:
    """Of all threads of a process since it began. Raises OSError when it is gone."""
    wakeups, ran = 0, 0.0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            wakeups += _switches(f"/proc/{pid}/task/{thread}/status")
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as line:
                ran += int(line.read().split()[0]) / 1e9
        except FileNotFoundError:
            continue  # a thread that has ended since it was listed
    return Activity(wakeups, ran)


def _switches(status: str) -> int:
    with open(status, encoding="utf-8", errors="replace") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
