"""How the limits of plugins are held on this machine, and what it has to hold them with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host.limit import plan

from .finding import Finding, fault, note, ok

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from plugin_host.candidate import Candidate
    from plugin_host.limit import Enforcement
    from plugin_host.machine import Controller, Machine

__all__ = ["find"]

_SECTION = "limits"
_CONTROLLERS: tuple[Controller, ...] = ("memory", "pids")
_DELEGATE = (
    "start the host in a cgroup that it may divide: systemd-run --user -p Delegate=yes "
    "-p DelegateSubgroup=host plugin-host run"
)


def find(candidates: Iterable[Candidate], machine: Machine) -> Iterator[Finding]:
    """The machine first, then each limit of each plugin."""
    for name in _CONTROLLERS:
        if place := machine.places.get(name):
            yield ok(_SECTION, f"cgroup {name}", f"version {place.version}, below {place.folder}")
        else:
            reason = machine.lacking.get(name, "not available")
            yield note(_SECTION, f"cgroup {name}", f"{reason}; the host looks once a second", _DELEGATE)
    for candidate in candidates:
        if candidate.manifest is not None:
            for enforcement in plan(candidate.manifest.limits, machine):
                yield _judge(candidate.id, enforcement)


def _judge(plugin: str, enforcement: Enforcement) -> Finding:
    words = enforcement.describe()
    if enforcement.how is None:
        return fault(_SECTION, plugin, words, "remove it, or run the plugin on a system that has it")
    if enforcement.how == "sampling":
        return note(_SECTION, plugin, words, _DELEGATE)
    if enforcement.reason:
        return note(_SECTION, plugin, words, "raise the host's own limit, or lower the plugin's")
    return ok(_SECTION, plugin, words)
