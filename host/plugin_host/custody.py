"""The custody of one run of a plugin: what it may not leave or exceed, from its first instruction on.

Owns the confinement and the enclosure of the run. Invariant: after `release` nothing that was made for it
is left, or the keeper removes it.
"""

from __future__ import annotations

import logging
from signal import SIGKILL
from typing import TYPE_CHECKING

from .confinement import confine
from .launchspec import isolate, process_spec, restraints

if TYPE_CHECKING:
    from .candidate import Candidate
    from .confinement import Confinement
    from .enclosure import Enclosure
    from .facility import Facilities
    from .journal import Journal
    from .manifest import Manifest
    from .process import PluginProcess, ProcessSpec

__all__ = ["Custody"]


class Custody:
    """Of the run that `mark` names."""

    def __init__(
        self, candidate: Candidate, manifest: Manifest, mark: str, facilities: Facilities, journal: Journal
    ) -> None:
        self.confinement: Confinement | None = None
        self._candidate = candidate
        self._manifest = manifest
        self._mark = mark
        self._facilities = facilities
        self._journal = journal
        self._enclosure: Enclosure | None = None

    async def prepare(self) -> ProcessSpec:
        """What is to be started, in custody from its start on. Raises LaunchError, OSError."""
        candidate, manifest, facilities = self._candidate, self._manifest, self._facilities
        facilities.keeper.retry()
        isolation = await isolate(candidate, manifest, facilities.outer, facilities.bytecode)
        for need in isolation.unmet:
            text = f"plugin {candidate.id} needs what its sandbox does not grant: {need}"
            self._journal.tell(logging.WARNING, text)
        confinement = confine(manifest, self._mark, facilities.machine, extra=restraints(candidate))
        self.confinement = confinement
        for one in confinement.enforcements:
            if not one.is_held:
                self._journal.tell(logging.WARNING, f"plugin {candidate.id}: {one.describe()}")
        for folder in confinement.folders:
            facilities.keeper.tell_cgroup(folder)
        return process_spec(candidate, manifest, self._mark, facilities.outer, confinement, isolation)

    def note(self, process: PluginProcess) -> None:
        """It was spawned; nothing of it has run."""
        self._facilities.keeper.note_plugin(self._mark, process.pid)

    def watch_use(self, process: PluginProcess) -> None:
        """From before its import, which may take all the memory there is."""
        assert self.confinement is not None
        self.confinement.watch(self._facilities.sampler, process.identity, lambda _: _end_at_once(process))

    def enclose(self, process: PluginProcess) -> None:
        """What it starts from soon on shall end with it, whatever that does to hide."""
        group = self.confinement.plan_group(self._mark) if self.confinement else None
        if group is not None:
            self._enclosure = self._facilities.encloser.take(group, process.identity, self._mark)

    def withdraw(self) -> None:
        """It ends: if it was not enclosed yet, it is not any more."""
        if self._enclosure is not None:
            self._facilities.encloser.withdraw(self._enclosure)

    def members(self) -> frozenset[int]:
        """The processes that are known to be of this run by where they are kept."""
        return self.confinement.members() if self.confinement else frozenset()

    async def release(self) -> None:
        """Nothing of the run is left."""
        self._facilities.keeper.note_plugin(self._mark, None)
        confinement = self.confinement
        if confinement is None:
            return
        folders = confinement.folders
        try:
            if self._enclosure is not None:
                await self._enclosure.end()
        finally:
            await self._release_group(confinement, folders)

    async def _release_group(self, confinement: Confinement, folders: tuple[str, ...]) -> None:
        is_gone = await confinement.release(by_thread=self._facilities.encloser.is_moving)
        if is_gone:  # else they are the keeper's to remove, if the host is killed
            for folder in folders:
                self._facilities.keeper.forget_cgroup(folder)


def _end_at_once(process: PluginProcess) -> None:
    """A limit that is only looked at was passed: that ends the plugin as the kernel would."""
    process.send_signal(SIGKILL)
