"""Where and when a run was made, and with which versions."""

from __future__ import annotations

import datetime
import os
import platform
from importlib import metadata
from typing import Any

from . import peer_goplugin

__all__ = ["describe", "heading", "source"]

# What is measured with, and what is measured.
_DISTRIBUTIONS = ("plugin-host", "msgpack", "msgspec", "uvloop", "rpyc", "execnet", "grpcio")


def describe(load_before: tuple[float, float, float], rounds: int, quick: bool) -> dict[str, Any]:
    """This machine at the end of a run."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)),
        "versions": _versions(),
        "load_before": load_before,
        "load_after": os.getloadavg(),
        "rounds": rounds,
        "quick": quick,
    }


def source(machine: dict[str, Any]) -> str:
    """Where, when and with what one run was made, as one line."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['date'].replace('T', ' ')}, {machine['processors']} x {machine['processor']}, "
        f"{machine['system']}, Python {machine['python']}, {machine['rounds']} rounds"
        f"{' (quick)' if machine['quick'] else ''}; {versions}"
    )


def heading(machine: dict[str, Any]) -> str:
    """The same for whoever ran it, with what else the machine did."""
    before, after, processors = machine["load_before"][0], machine["load_after"][0], machine["processors"]
    text = (
        f"{source(machine)}\nload {before:.1f} before and {after:.1f} after; ratios are medians over rounds"
    )
    # What is measured keeps two processes busy at most, whatever the number of processors.
    if before > processors / 2 or after > processors + 1:
        text += "\nThe machine was busy with other work: figures of several processes at once suffer most."
    return text


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    if (version := peer_goplugin.version()) is not None:
        found["go-plugin"] = version
    return found
