"""Lets the benchmark plugin tell where its time goes; imported only when it is being profiled.

Every thread that starts after `install` has a profiler of its own. From Python 3.12 on there can be
only one, which the first thread gets: the one that reads and answers.
"""

from __future__ import annotations

import cProfile
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from plugin_host_sdk import Plugin

__all__ = ["costs_of", "install"]


def install(plugin: Plugin) -> None:
    """Profile all threads to come, and add the command `profile` that gives what was found so far."""
    profilers: list[cProfile.Profile] = []

    def begin(frame: Any, event: str, argument: Any) -> None:
        sys.setprofile(None)
        profiler = cProfile.Profile()
        try:
            profiler.enable()
        except ValueError:
            return
        profilers.append(profiler)

    threading.setprofile(begin)

    @plugin.command("profile")
    def profile(ctx: Any) -> list[list[Any]]:
        """Where, how often, and for how many seconds of its own, summed over the threads."""
        return [row for profiler in profilers for row in costs_of(profiler)]


def costs_of(profiler: cProfile.Profile) -> list[list[Any]]:
    """`[function, calls, seconds]` for everything the profiler has seen."""
    return [[_name(entry.code), entry.callcount, entry.inlinetime] for entry in profiler.getstats()]


def _name(code: Any) -> str:
    if isinstance(code, str):
        return code.strip("<>").removeprefix("built-in method ").partition(" at 0x")[0]
    file = "/".join(code.co_filename.split("/")[-2:])
    return f"{file}:{code.co_firstlineno} {code.co_name}"
