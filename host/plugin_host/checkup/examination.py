"""All checks, one after the other, from the ground up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plugin_host.machine import survey
from plugin_host.version import VERSION

from . import interpreter, inventory, launching, leftover, limitation, listening, sandboxing, system

if TYPE_CHECKING:
    from .finding import Finding

__all__ = ["examine"]


def examine(
    *,
    plugin_dirs: Sequence[str] = (),
    only: Sequence[str] | None = None,
    block: Sequence[str] = (),
    config: str | None = None,
    socket: str | None = None,
) -> list[Finding]:
    """What is to be said of everything that a host with these options depends on.

    Starts no plugin. Blocks: for the start of each interpreter, and for a look at every process.
    """
    machine = survey()
    taken = inventory.take(plugin_dirs=plugin_dirs, only=only, block=block, config=config)
    launchings, programs = launching.prepare(taken.runnable)
    return [
        *system.find(machine),
        *taken.findings,
        *programs,
        *interpreter.find(launchings, VERSION),
        *limitation.find(taken.runnable, machine),
        *sandboxing.find(launchings),
        *listening.find(taken.configuration, socket),
        *leftover.find(machine),
    ]
