"""What plugins use, looked at once a second: the stand-in for limits that the kernel does not hold here.

One timer and one look at the machine's processes serve all plugins that are watched; without any there
is no timer. What is seen is late by up to a second: this finds a plugin that grows, and does not hold one
that leaps. A look is made on a thread of its own and takes 15 µs of processor time for each process of the
machine and 30 µs for each that is watched: 2 ms among 100, 12 ms among 300 of which 200 are watched.

Memory is the sum of the resident sizes of a plugin's processes. Pages that they share are counted for
each in it, so a sum above the limit is only a reason to have the kernel count again with every page
divided among those who have it. That takes about 5 ms for each 100 MB; it decides.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .processtable import ProcessTable, read_use
from .tree import ProcessIdentity, family

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["INTERVAL_S", "Excess", "Sampler", "Watch"]

INTERVAL_S = 1.0

_log = logging.getLogger("plugin_host.usage")


@dataclass(frozen=True, slots=True)
class Excess:
    """A plugin was seen with more than a limit allows; `limit` is its name in the manifest."""

    limit: str
    seen: int
    allowed: int


class _Sight(NamedTuple):
    """A plugin's processes at one moment, and what they had together."""

    members: frozenset[ProcessIdentity]
    memory: int
    threads: int


class Watch:
    """One plugin that is looked at; made by `Sampler.watch`. `peak_memory` is in bytes."""

    __slots__ = ("_close", "_fired", "allowed", "known", "on_excess", "peak_memory", "root")

    def __init__(
        self,
        root: ProcessIdentity,
        allowed: Mapping[str, int],
        on_excess: Callable[[Excess], None],
        close: Callable[[Watch], None],
    ) -> None:
        self.root = root
        self.allowed = allowed
        self.on_excess = on_excess
        self.known: frozenset[ProcessIdentity] = frozenset()
        self.peak_memory: int | None = None
        self._fired: set[str] = set()
        self._close = close

    def take(self, sight: _Sight) -> None:
        """Note what was seen, and tell of each limit once."""
        self.known = sight.members
        if sight.members:
            self.peak_memory = max(sight.memory, self.peak_memory or 0)
        for limit, seen in (("memory_bytes", sight.memory), ("processes", sight.threads)):
            allowed = self.allowed.get(limit)
            if allowed is not None and seen > allowed and limit not in self._fired:
                self._fired.add(limit)
                self.on_excess(Excess(limit, seen, allowed))

    def close(self) -> None:
        """Look no more. A second call does nothing."""
        self._close(self)


class Sampler:
    """Looks at all that is watched, every `interval_s` seconds, in the loop that `watch` is called in."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval = interval_s
        self._watches: dict[Watch, None] = {}
        self._task: asyncio.Task[None] | None = None

    def watch(
        self,
        root: ProcessIdentity,
        allowed: Mapping[str, int],
        on_excess: Callable[[Excess], None],
    ) -> Watch:
        """Watch the processes that descend from `root`.

        `allowed` may hold `memory_bytes` and `processes`, which counts threads as the kernel does.
        `on_excess` is called in the loop, once for each limit.
        """
        watch = Watch(root, allowed, on_excess, self._forget)
        self._watches[watch] = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="sampling of plugins")
        return watch

    def _forget(self, watch: Watch) -> None:
        self._watches.pop(watch, None)
        if not self._watches and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            watches = tuple(self._watches)
            try:
                sights = await asyncio.to_thread(_look, watches)
            except OSError as error:  # no descriptor left: perhaps the next time
                _log.warning("what plugins use could not be looked at: %s", error)
                continue
            for watch, sight in zip(watches, sights, strict=True):
                if watch in self._watches:
                    _take(watch, sight)


def _take(watch: Watch, sight: _Sight) -> None:
    try:
        watch.take(sight)
    except Exception:
        _log.exception("telling of what process %s uses failed", watch.root)


def _look(watches: Sequence[Watch]) -> list[_Sight]:
    table = ProcessTable.read()
    return [_sight(table, watch) for watch in watches]


def _sight(table: ProcessTable, watch: Watch) -> _Sight:
    members = frozenset(
        ProcessIdentity(row.pid, row.started, row.name)
        for row in family(table.rows, (watch.root, *watch.known), table.kin)
        if not row.dead
    )
    uses = {member.pid: use for member in members if (use := read_use(member.pid))}
    memory = sum(use.resident for use in uses.values())
    limit = watch.allowed.get("memory_bytes")
    if limit is not None and memory > limit:
        memory = sum(_proportional(pid, use.resident) for pid, use in uses.items())
    return _Sight(members, memory, sum(use.threads for use in uses.values()))


def _proportional(pid: int, resident: int) -> int:
    """Bytes with each shared page divided among those who have it; `resident` where nobody tells."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux, gone, or another user's
    return resident
