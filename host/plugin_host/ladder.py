"""Stopping a plugin's whole process tree, politely first and always within a bound.

Every wait has a name and an end: polite request, close stdin, SIGTERM, SIGKILL; then what the plugin left
behind. The exit is taken from the process, never from the end of a pipe, which a grandchild may hold.
Invariant: after `timeout_s` + GRACE_S + KILL_S nothing of the plugin is left, or the report names it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from signal import SIGCONT, SIGKILL, SIGTERM
from typing import TYPE_CHECKING, Literal

from . import tree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from .exitstatus import ExitStatus
    from .process import PluginProcess
    from .tree import ProcessIdentity

__all__ = ["GRACE_S", "KILL_S", "Step", "StopReport", "stop"]

# Where each step ends, as parts of the time there is.
_POLITE_UNTIL = 0.4
_STDIN_UNTIL = 0.6
# What outlives its plugin has had its polite request by losing it; this is for its own clean-up.
GRACE_S = 0.5
# After SIGKILL only the kernel can be slow: pages to free, a disk that does not answer.
KILL_S = 2.0

# Processes that are not our children end unseen, so they are looked at, soon first and then less often.
_FIRST_LOOK_S = 0.001
_LONGEST_LOOK_S = 0.02
# How old a look at all processes may be to serve for the first snapshot: many plugins stop at once.
_SHARED_LOOK_S = 0.02

# More than a few that stop together wait this long for each other, so that a look serves many.
_ALONE = 4
_GATHER_EACH_S = 0.001
_LONGEST_GATHER_S = 0.2

Step = Literal["already ended", "polite request", "close stdin", "SIGTERM", "SIGKILL", "none"]


@dataclass(frozen=True, slots=True)
class StopReport:
    """How a plugin was stopped.

    `step` ended the plugin itself ("none": even SIGKILL did not within its time); `terminated` and
    `killed` are the processes that had to be sent SIGTERM and SIGKILL, the plugin among them;
    `survivors` lived on: processes of another user, or stuck in the kernel. Times are seconds.
    """

    step: Step
    took_s: float
    status: ExitStatus | None
    terminated: tuple[ProcessIdentity, ...] = ()
    killed: tuple[ProcessIdentity, ...] = ()
    survivors: tuple[ProcessIdentity, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing had to be killed and nothing is left."""
        return not self.killed and not self.survivors

    def describe(self) -> str:
        """In words, for a log line."""
        end = self.status.describe() if self.status else "still running"
        words = [f"{end} after {self.took_s:.2f} s (step: {self.step})"]
        for title, processes in (("killed", self.killed), ("survived", self.survivors)):
            if processes:
                words.append(f"{title}: {', '.join(map(str, processes))}")
        return "; ".join(words)


async def stop(
    process: PluginProcess,
    *,
    polite: Callable[[], Awaitable[None]] | None,
    timeout_s: float = 5.0,
    mark: str | None,
    members: Callable[[], frozenset[int]] = frozenset,
) -> StopReport:
    """End `process` and everything that belongs to it; it may have ended already.

    `polite` asks the plugin to leave and gets 40 % of `timeout_s`, closing its stdin 20 %, SIGTERM to the
    tree the rest; without `polite` (a peer that has no such request) closing stdin comes first and has
    both times. `mark` is the launch's token in PLUGIN_HOST_RUN, `members` says who is in its cgroup. What
    the plugin leaves behind gets SIGTERM, GRACE_S, then SIGKILL. Descriptors stay open:
    `process.close()` is the caller's.

    A caller that is cancelled still leaves nothing behind: the tree is killed at once, for which it may
    take KILL_S more, and the cancellation goes on. Looking at the processes of the machine takes
    milliseconds of the loop, two or three times in a stop. In a forked child it does nothing.
    """
    if process.is_foreign:
        return StopReport("none", 0.0, None)
    ladder = _Ladder(process, polite, timeout_s, mark, members)
    _climbing.add(ladder)
    try:
        return await ladder.climb()
    except (asyncio.CancelledError, Exception):
        await ladder.kill(ladder.kill_at_once())
        raise
    except BaseException:  # the loop itself is going: there is no waiting any more
        ladder.kill_at_once()
        raise
    finally:
        _climbing.discard(ladder)


_climbing: set[_Ladder] = set()


class _Ladder:
    """One stop. Each step returns when the plugin has ended or the step's time is over."""

    def __init__(
        self,
        process: PluginProcess,
        polite: Callable[[], Awaitable[None]] | None,
        timeout_s: float,
        mark: str | None,
        members: Callable[[], frozenset[int]],
    ) -> None:
        self._process = process
        self._polite = polite
        self._timeout = timeout_s
        self._mark = mark
        self._members = members
        self._began = time.monotonic()
        self._known: set[ProcessIdentity] = set()
        self._terminated: set[ProcessIdentity] = set()
        self._killed: set[ProcessIdentity] = set()

    async def climb(self) -> StopReport:
        step: Step = "already ended"
        if self._process.status is None:
            # Before the first signal: once parents die, nobody can tell whose the children were.
            # All that are stopped at the same moment have begun before the first of them looks.
            await asyncio.sleep(0)
            self._known |= self._look(self._began - _SHARED_LOOK_S)
            step = await self._end_the_plugin()
        survivors = await self.kill(await self._terminate_what_is_left())
        if step == "none" and self._process.status is not None:
            step = "SIGKILL" if self._process.identity in self._killed else "SIGTERM"
        self._process.stderr.drain()
        return StopReport(
            step=step,
            took_s=time.monotonic() - self._began,
            status=self._process.status,
            terminated=_in_order(self._terminated),
            killed=_in_order(self._killed),
            survivors=_in_order(survivors),
        )

    async def _end_the_plugin(self) -> Step:
        """The polite steps; "none" when the plugin is still there after them."""
        if self._polite is not None:
            await self._ask(self._polite)
            if self._process.status is not None:
                return "polite request"
        self._process.close_stdin()
        if await self._ended_by(self._timeout * _STDIN_UNTIL):
            return "close stdin"
        self._terminate(await self._look_with_others(time.monotonic()))
        if await self._ended_by(self._timeout):
            return "SIGTERM"
        return "none"

    async def _ask(self, polite: Callable[[], Awaitable[None]]) -> None:
        """Ask, and give the plugin the time to end once it has answered.

        A request that fails has told us nothing will come of it: the next step follows at once.
        """
        request = asyncio.ensure_future(_awaited(polite))
        try:
            await self._ended_by(self._timeout * _POLITE_UNTIL, request)
            answered = request.done() and not request.cancelled() and request.exception() is None
            if answered:
                await self._ended_by(self._timeout * _POLITE_UNTIL)
        finally:
            request.cancel()  # not awaited: one that resists must not hold the ladder
            request.add_done_callback(_retrieve)

    async def _terminate_what_is_left(self) -> frozenset[ProcessIdentity]:
        """SIGTERM and GRACE_S for what outlived its plugin; what lives on after that."""
        # Whatever the plugin made, it made before its exit, so a look since then is as good as one now.
        left = await self._look_with_others(self._process.ended or time.monotonic())
        if left and self._process.status is not None:
            self._terminate(left)
            await _gone(left, time.monotonic() + GRACE_S)
            left = self._look()
        return left

    async def kill(self, left: frozenset[ProcessIdentity]) -> frozenset[ProcessIdentity]:
        """SIGKILL, again for what appears meanwhile, until nothing is left or KILL_S pass; the rest."""
        deadline = time.monotonic() + KILL_S
        while (left := self._confirmed(left)) and time.monotonic() < deadline:
            self._kill(left)
            await _gone(left, deadline)
            left = self._look()
        await self._process.wait(deadline - time.monotonic())
        tree.reap_adopted(self._known - {self._process.identity})
        return left

    def _confirmed(self, left: frozenset[ProcessIdentity]) -> frozenset[ProcessIdentity]:
        """`left`, or when that is nothing, what the plugin's process groups say about it.

        Processes that fork and end by the thousand slip through every look; the signal to their group,
        whether or not anybody was seen in it, they do not escape.
        """
        if left or self._process.status is None:
            return left
        return self._look() if self._kill_groups(self._process.ended) else left

    def kill_at_once(self) -> frozenset[ProcessIdentity]:
        """SIGKILL to all that can be found now, without waiting; those found."""
        self._process.note_signalled(SIGKILL)
        self._process.send_signal(SIGKILL)
        left = self._look()
        self._kill(left)
        return left

    async def _look_with_others(self, not_before: float) -> frozenset[ProcessIdentity]:
        """Look once those who stop at the same time are ready to share it: a look stops the loop."""
        if len(_climbing) > _ALONE:
            await asyncio.sleep(min(len(_climbing) * _GATHER_EACH_S, _LONGEST_GATHER_S))
        return self._look(not_before)

    def _look(self, not_before: float | None = None) -> frozenset[ProcessIdentity]:
        """All that lives of the plugin now."""
        since = time.monotonic() if not_before is None else not_before
        root = self._process.identity
        found = tree.snapshot(root, self._known, not_before=since)
        if self._mark is not None:
            found |= tree.marked(self._mark, since=root.started, not_before=since)
        found |= tree.listed(self._members)
        self._known |= found
        return found

    def _terminate(self, processes: Iterable[ProcessIdentity]) -> None:
        self._process.note_signalled(SIGTERM)
        if self._process.sandboxed:
            # It would end at once, take its program's exit status with it and leave the program behind;
            # it ends by itself when the program does.
            processes = frozenset(processes) - {self._process.identity}
        self._terminated |= tree.signal_all(processes, SIGTERM)
        tree.signal_all(processes, SIGCONT)  # one that is stopped meets SIGTERM only when it goes on

    def _kill(self, processes: frozenset[ProcessIdentity]) -> None:
        self._process.note_signalled(SIGKILL)
        self._killed |= tree.signal_all(processes, SIGKILL)
        self._kill_groups()

    def _kill_groups(self, not_before: float | None = None) -> bool:
        """Whether there were any; their members may all have been dead already."""
        reached = self._process.send_group_signal(SIGKILL)
        root = self._process.identity
        return tree.signal_groups(root, self._known, SIGKILL, not_before=not_before) or reached

    async def _ended_by(self, after_s: float, request: asyncio.Future[None] | None = None) -> bool:
        """Wait for the exit, or for `request`, until `after_s` seconds from the start of the stop."""
        deadline = self._began + after_s
        if request is None:
            return await self._process.wait(deadline - time.monotonic()) is not None
        await asyncio.wait(
            (self._process.exited, request),
            timeout=max(0.0, deadline - time.monotonic()),
            return_when=asyncio.FIRST_COMPLETED,
        )
        return self._process.status is not None


async def _awaited(polite: Callable[[], Awaitable[None]]) -> None:
    await polite()


def _retrieve(request: asyncio.Future[None]) -> None:
    """Take the outcome, so that the loop does not report a failure that was dealt with."""
    if not request.cancelled():
        request.exception()


async def _gone(processes: Iterable[ProcessIdentity], deadline: float) -> None:
    """Wait until none of them lives, or `deadline` (monotonic seconds)."""
    pause = _FIRST_LOOK_S
    left = tree.alive(processes)
    while left and (time_left := deadline - time.monotonic()) > 0:
        await asyncio.sleep(min(pause, time_left))
        pause = min(pause * 2, _LONGEST_LOOK_S)
        left = tree.alive(left)


def _in_order(processes: Iterable[ProcessIdentity]) -> tuple[ProcessIdentity, ...]:
    return tuple(sorted(processes, key=lambda process: (process.started, process.pid)))
