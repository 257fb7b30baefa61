"""What one session of many costs, over ten plugins: to open, to have, to write to, to close.

Run as `python -m benchmarks.growth.sessions COUNT LAUNCH`, in a process of its own; prints JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, cast

from benchmarks.memory import private_mib
from plugin_host import Output

from .crowd import closing, folder_of, host_of, pids, settle

if TYPE_CHECKING:
    from plugin_host import PluginHost, Session

    from .crowd import Launch

__all__ = ["measure"]

_PLUGINS = 10
_ECHOES = 50
_COMMAND = ["cat"]
_LINE = b"is anybody there?\n"


async def measure(count: int, launch: Launch) -> dict[str, float]:
    """Times in milliseconds, memory in KiB, all for one session. Each is `cat` on pipes."""
    async with folder_of(_PLUGINS) as folder, closing(host_of(folder, launch)) as host:
        for plugin in host.plugins:  # what the first session of a plugin loads is no session's cost
            first = await host.exec(plugin, _COMMAND, tty=False)
            await _echo(first)
            await first.close()
        await settle()
        before = _memory(host)
        begun = time.perf_counter()
        sessions = [await host.exec(f"p{n % _PLUGINS}", _COMMAND, tty=False) for n in range(count)]
        opened = time.perf_counter()
        await settle()
        after = _memory(host)
        echoes = [await _echo(session) for session in islice(sessions, _ECHOES)]
        closed = time.perf_counter()
        await asyncio.gather(*(session.close() for session in sessions))
        return {
            "open_ms": (opened - begun) / count * 1e3,
            "host_kib": (after[0] - before[0]) / count,
            "plugin_kib": (after[1] - before[1]) / count,
            "echo_ms": median(echoes) * 1e3,
            "close_ms": (time.perf_counter() - closed) / count * 1e3,
        }


def _memory(host: PluginHost) -> tuple[float, float]:
    """Of the host, and of all its plugins."""
    gc.collect()
    return private_mib(os.getpid()) * 1024, sum(private_mib(pid) for pid in pids(host)) * 1024


async def _echo(session: Session) -> float:
    """How long it takes from a line that is written to the same line as output."""
    async with await session.attach() as viewer:
        begun = time.perf_counter()
        await session.write(_LINE)
        seen = b""
        async for item in viewer:
            assert isinstance(item, Output)
            seen += item.data
            if seen.endswith(_LINE):
                return time.perf_counter() - begun
    raise EOFError(f"a session has ended after {seen!r}")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]), cast("Launch", sys.argv[2])))))
