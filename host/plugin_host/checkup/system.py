"""This Python, the two distributions, the protocol, and what the system offers to a host."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING

from plugin_host.version import VERSION
from plugin_host_sdk.ownproc import has_own_proc
from plugin_host_sdk.protocol import PROTOCOL_VERSIONS
from plugin_host_sdk.version import VERSION as SDK_VERSION

from .compatibility import OLDEST_PYTHON, fits, python_is_new_enough, requirement
from .finding import Finding, fault, note, ok

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plugin_host.machine import Machine

__all__ = ["abilities", "ability_findings", "find", "version_findings"]

_VERSIONS = "versions"
_SYSTEM = "system"

_LOSSES = {
    "pidfd": "the host asks again and again whether a plugin has ended",
    "memfd": "stacks of plugins go to files in the folder for temporary files",
    "/proc": "no keeper ends the plugins of a host that is killed, and less is told of processes",
    "cgroup.kill": "the processes of a plugin are killed one by one",
}
_ADVICE = {
    "pidfd": "use Linux 5.3 or later",
    "memfd": "use Linux 3.17 or later",
    "/proc": "mount it: mount -t proc proc /proc",
    "cgroup.kill": "use Linux 5.14 or later with cgroups of version 2 that the host may write",
}


def find(machine: Machine) -> list[Finding]:
    """All of it, for the process that asks."""
    python = sys.version_info[:3]
    return [
        *version_findings(python, VERSION, SDK_VERSION),
        ok(_SYSTEM, "system", f"{platform.system()} {platform.release()} on {platform.machine()}"),
        *ability_findings(abilities(machine)),
    ]


def version_findings(python: tuple[int, ...], host: str, sdk: str) -> list[Finding]:
    """Whether these versions belong together."""
    words = f"{'.'.join(map(str, python))} ({sys.executable or 'no interpreter of its own'})"
    found = [ok(_VERSIONS, "Python", words)]
    if not python_is_new_enough(python):
        needed = ".".join(map(str, OLDEST_PYTHON))
        found = [fault(_VERSIONS, "Python", words, f"use Python {needed} or later")]
    found.append(ok(_VERSIONS, "plugin-host", host))
    if sdk == host:
        found.append(ok(_VERSIONS, "plugin-host-sdk", sdk))
    else:
        level = note if fits(sdk, host) else fault
        text = f"{sdk}, which is not the version of plugin-host"
        found.append(level(_VERSIONS, "plugin-host-sdk", text, f"pip install {requirement(host)}"))
    protocols = ", ".join(map(str, PROTOCOL_VERSIONS))
    return [*found, ok(_VERSIONS, "protocol", f"{protocols}, and msgpack-rpc")]


def abilities(machine: Machine) -> dict[str, bool]:
    """What the host makes use of where it is there, and whether it is."""
    return {
        "pidfd": _has_pidfd(),
        "memfd": hasattr(os, "memfd_create"),
        "/proc": has_own_proc(),
        "cgroup.kill": machine.killer is not None,
    }


def ability_findings(found: Mapping[str, bool]) -> list[Finding]:
    """What the lack of each means. Nothing here is a fault: the host does without."""
    return [
        ok(_SYSTEM, name, "available")
        if there
        else note(_SYSTEM, name, f"not available: {_LOSSES[name]}", _ADVICE[name])
        for name, there in found.items()
    ]


def _has_pidfd() -> bool:
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True
