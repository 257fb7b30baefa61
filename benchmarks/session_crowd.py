"""Many sessions in one plugin, each with a viewer: what they cost plugin and host, and that they answer.

Run as `python -m benchmarks.session_crowd SECONDS`, in a process of its own; prints its figures as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import TYPE_CHECKING

from plugin_host import Output

from .burden import burden
from .crowd import COMMAND, SESSIONS, costs, is_terminal
from .fresh import FreshDriver
from .session_host import PLUGIN, closing, open_host, plugin_pid

if TYPE_CHECKING:
    from plugin_host import PluginHost, Session, Viewer

__all__ = ["answers", "driver"]

_LINE = b"is anybody there?\n"
_SETTLING_S = 0.3


async def crowd(seconds: float) -> dict[str, float]:
    """Figures of all sessions; processor time is that of so many seconds in which nothing happens."""
    async with open_host() as host:
        await _warm_up(host)
        plugin, this = plugin_pid(host), os.getpid()
        before, host_before = burden(plugin), burden(this)
        start = time.perf_counter()
        sessions = [await host.exec(PLUGIN, COMMAND, tty=is_terminal(number)) for number in range(SESSIONS)]
        opened = time.perf_counter()
        viewers = [await session.attach() for session in sessions]
        attached = time.perf_counter()
        await asyncio.sleep(_SETTLING_S)
        after, host_after = burden(plugin), burden(this)
        await asyncio.sleep(seconds)
        idle, host_idle = burden(plugin), burden(this)
        asked = time.perf_counter()
        await asyncio.gather(*map(answers, sessions, viewers))
        answered = time.perf_counter()
        await asyncio.gather(*(session.close() for session in sessions))
        closed = time.perf_counter()
        await _until_gone(plugin, before.descriptors)
    return {
        "open_ms": (opened - start) / SESSIONS * 1e3,
        "attach_ms": (attached - opened) / SESSIONS * 1e3,
        "echo_all_ms": (answered - asked) * 1e3,
        "close_all_ms": (closed - answered) * 1e3,
        "idle_cpu_ms_per_s": (idle.cpu_s - after.cpu_s) / seconds * 1e3,
        "host_idle_cpu_ms_per_s": (host_idle.cpu_s - host_after.cpu_s) / seconds * 1e3,
        **costs("", before, after),
        **costs("host_", host_before, host_after),
    }


async def _warm_up(host: PluginHost) -> None:
    """What the first session of each kind loads is no session's cost."""
    for tty in (True, False):
        async with closing(host, COMMAND, tty=tty) as session, await session.attach() as viewer:
            await answers(session, viewer)


async def answers(session: Session, viewer: Viewer) -> None:
    """Write a line and see it come back. Raises EOFError when the session has ended."""
    await session.write(_LINE)
    seen = b""
    async for item in viewer:
        assert isinstance(item, Output)
        seen += item.data
        if seen.count(b"\n") == (2 if session.tty else 1):  # a terminal echoes as well
            return
    raise EOFError(f"a session of many has ended after {seen!r}")


async def _until_gone(pid: int, descriptors: int) -> None:
    """Closed sessions leave no descriptors behind. Raises ValueError when they do."""
    end = time.perf_counter() + 5
    while (left := burden(pid).descriptors) > descriptors:
        if time.perf_counter() > end:
            raise ValueError(f"the plugin holds {left} descriptors, {descriptors} before all sessions")
        await asyncio.sleep(0.01)


def driver() -> FreshDriver:
    return FreshDriver("session_crowd")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(crowd(float(sys.argv[1])))))
