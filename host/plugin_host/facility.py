"""What the plugins of one host share: who it is, room to launch, services, where events go."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .enclosure import Encloser
from .link import Link
from .logbook import Logbook
from .machine import Machine, survey
from .usage import Sampler
from .vigil import Vigil
from .warm.forkserver import Forkserver

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from .bytecode import BytecodeFolders
    from .event import HostEvent
    from .keeper.handle import Keeper
    from .link import LinkMaker
    from .metadata.desk import MetadataDesk
    from .service import ServiceTable

__all__ = ["Facilities"]


@dataclass(slots=True, kw_only=True)
class Facilities:
    """`run` is the host's id in PLUGIN_HOST_RUN, `version` its version; `gate` limits how many launches
    run at once; `metadata` answers what plugins ask about it; `emit` gets every event; `keeper` clears up
    when the host is killed; `bytecode` are private folders of plugins that have a checksum; `restarts`
    says whether what died is started again; `outer` is the environment that plugins inherit from; `sampler`
    looks at limits that nobody else holds; `logbook` keeps what plugins log; `make_link` is how a
    connection is driven; `forkserver` gives processes that are there already.
    """

    run: str
    version: str
    gate: asyncio.Semaphore
    services: ServiceTable
    metadata: MetadataDesk
    emit: Callable[[HostEvent], None]
    keeper: Keeper
    bytecode: BytecodeFolders
    restarts: bool = True
    outer: Mapping[str, str] = field(repr=False, default_factory=lambda: os.environ)
    sampler: Sampler = field(default_factory=Sampler)
    logbook: Logbook = field(default_factory=Logbook)
    make_link: LinkMaker = Link
    forkserver: Forkserver = field(default_factory=lambda: Forkserver("none"))
    _vigil: Vigil | None = None
    _encloser: Encloser | None = None
    _machine: Machine | None = None

    @property
    def vigil(self) -> Vigil:
        """Who watches over the plugins' health, in the loop that asks first."""
        if self._vigil is None:
            self._vigil = Vigil()
        return self._vigil

    @property
    def encloser(self) -> Encloser:
        """Who moves plugins that run into groups of their own, in the loop that asks first."""
        if self._encloser is None:
            self._encloser = Encloser(self.keeper)
        return self._encloser

    @property
    def machine(self) -> Machine:
        """What this machine can hold plugins to; looked at once, when it is first asked for."""
        if self._machine is None:
            self._machine = survey()
        return self._machine

    def close(self) -> None:
        """Give back what is not any single plugin's."""
        if self._vigil is not None:
            self._vigil.close()
        if self._encloser is not None:
            self._encloser.close()
