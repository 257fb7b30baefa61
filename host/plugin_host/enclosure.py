"""Groups for plugins that run without one, made beside everything else.

A plugin with limits is put into its group before it runs. For the others that would cost each start the
milliseconds that the kernel needs to move a process, so they are moved soon after they are ready: what
they start from then on can be ended with them, whatever it does to its environment, session and parents.

Invariants: one thread at most moves processes for a host, and there is none while nothing is to be moved;
whoever is not the plugin's is in no group of it; after `Enclosure.end` nothing is moved any more.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from .environment import RUN_MARK_NAME
from .errand import apart
from .processtable import ProcessTable
from .tree import ProcessIdentity, alive, family

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .cgroup import Group
    from .keeper.handle import Keeper

__all__ = ["Encloser", "Enclosure"]

PAUSE_S = 0.05
"""How long after a plugin is ready: first calls come first, and those that start together share a look."""

# Who is born while its parent is moved is found by the next look.
_LOOKS = 5

_log = logging.getLogger("plugin_host.enclosure")


class Enclosure:
    """One plugin's way into `group`; `token` marks its processes, the first of which is `root`."""

    def __init__(self, group: Group, root: ProcessIdentity, token: str) -> None:
        self.group = group
        self.root = root
        self.token = token
        self.is_wanted = True
        self.problem: OSError | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def call_off(self) -> None:
        """Move nobody else: the plugin ends."""
        self.is_wanted = False

    async def end(self) -> None:
        """Wait until nobody is moved any more, which takes some milliseconds, also when cancelled."""
        self.call_off()
        is_cancelled = False
        while not self.done.done():
            try:
                await asyncio.wait((self.done,))
            except asyncio.CancelledError:
                is_cancelled = True
        if is_cancelled:
            raise asyncio.CancelledError

    def settle(self) -> None:
        """Nobody is moved any more."""
        if not self.done.done():
            self.done.set_result(None)


class Encloser:
    """Takes the plugins of one host into their groups, as many as wait at once.

    While `is_moving`, whoever asks the kernel to remove a group may have to wait for it.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._waiting: list[Enclosure] = []
        self._round: asyncio.Task[None] | None = None
        self.is_moving = False

    def take(self, group: Group, root: ProcessIdentity, token: str) -> Enclosure:
        """Make `group` soon and move what `root` and `token` lead to into it."""
        enclosure = Enclosure(group, root, token)
        self._waiting.append(enclosure)
        if self._round is None:
            self._round = asyncio.get_running_loop().create_task(self._serve(), name="plugin groups")
        return enclosure

    def withdraw(self, enclosure: Enclosure) -> None:
        """The plugin ends; one that waits has been nowhere."""
        enclosure.call_off()
        if enclosure in self._waiting:
            self._waiting.remove(enclosure)
            enclosure.settle()

    def close(self) -> None:
        """Every plugin has ended: nothing is to be done any more."""
        if self._round is not None:
            self._round.cancel()

    async def _serve(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(PAUSE_S)
                batch, self._waiting = self._waiting, []
                if batch:
                    await self._enclose(batch)
        finally:
            self._round = None
            for one in self._waiting:  # the loop ends
                one.settle()
            self._waiting = []

    async def _enclose(self, batch: list[Enclosure]) -> None:
        for one in batch:  # before there are any: whoever kills the host now leaves no folder
            for folder in one.group.folders:
                self._keeper.tell_cgroup(folder)
        self.is_moving = True
        moving = asyncio.ensure_future(apart(lambda: _fill(batch)))
        moving.add_done_callback(lambda _: self._filled(batch))
        try:
            await asyncio.shield(moving)
        except Exception as error:  # a look at the processes takes descriptors
            _log.info("not all processes of plugins could be moved into their cgroups: %s", error)

    def _filled(self, batch: Sequence[Enclosure]) -> None:
        self.is_moving = False
        for one in batch:
            if one.problem is not None:
                _log.info("%r could not be made for a plugin: %s", one.group, one.problem)
                for folder in one.group.folders:
                    self._keeper.forget_cgroup(folder)
            one.settle()


def _fill(batch: Sequence[Enclosure]) -> None:
    """In a thread. The plugins' own processes first, so that what they start next is where it belongs."""
    origins = {one: _whereabouts(one.root.pid) for one in batch}
    for one in batch:
        if one.is_wanted:
            try:
                one.group.make()
                _move(one.group, one.root)
            except OSError as error:
                one.group.discard()
                one.problem = error
                one.is_wanted = False
    for _ in range(_LOOKS):
        wanted = {one: origin for one, origin in origins.items() if one.is_wanted}
        if not wanted or not _move_rest(wanted, ProcessTable.read()):
            return


def _whereabouts(pid: int) -> str:
    """The cgroups of a process; empty when it is gone."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _move_rest(batch: Mapping[Enclosure, str], table: ProcessTable) -> bool:
    """Whether anybody was found where the plugin was; what went elsewhere was put there for a reason."""
    is_changed = False
    since = min(one.root.started for one in batch)
    carriers = table.carriers(RUN_MARK_NAME)
    for one, origin in batch.items():
        ours = {row.pid: row for row in family(table.rows, (one.root,), table.kin) if not row.dead}
        ours |= {row.pid: row for row in carriers.of(one.token, since)}
        for row in sorted(ours.values(), key=lambda row: (row.started, row.pid)):
            if one.is_wanted and _whereabouts(row.pid) == origin:
                is_changed = True
                try:
                    _move(one.group, ProcessIdentity(row.pid, row.started))
                except OSError:  # it runs as somebody else
                    pass
    return is_changed


def _move(group: Group, process: ProcessIdentity) -> None:
    """Raises OSError. The kernel takes numbers, and one may have passed on just before."""
    if not alive((process,)):
        return
    try:
        group.add(process.pid)
        if not alive((process,)) and process.pid in group.pids():
            group.expel(process.pid)
    except ProcessLookupError:
        pass  # it has ended
