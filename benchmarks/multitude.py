"""Many sessions over several plugins: what each costs, and that all answer and nothing is left.

Run as `python -m benchmarks.multitude [SESSIONS [PLUGINS]]`, by default 1,000 over 10; prints a line for
each figure. Every other session is on a terminal, the others are on pipes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_host import PluginHost

from .burden import Burden, burden
from .crowd import COMMAND, is_terminal
from .scratch import write_plugins
from .session_crowd import answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plugin_host import Session

__all__ = ["measure"]

_SESSIONS, _PLUGINS = 1000, 10
_SETTLING_S = 0.5
_IDLE_S = 2.0
_HANDLER = """
sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[sdk.exec.Handler("local")]))
"""


async def measure(folder: Path, count: int, plugins: int) -> dict[str, float]:
    """The figures, with plugins that are written into `folder`."""
    ids = write_plugins(folder, plugins, _HANDLER)
    async with PluginHost(plugin_dirs=[folder], entry_points=False) as host:
        for tty in (True, False):  # what the first of each kind loads is no session's cost
            for session in [await host.exec(id, COMMAND, tty=tty) for id in ids]:
                await answers(session, await session.attach())
                await session.close()
        before = _burdens(host)
        start = time.perf_counter()
        sessions = await _opened(host, ids, count)
        opened = time.perf_counter()
        await asyncio.sleep(_SETTLING_S)
        idle = _burdens(host)
        await asyncio.sleep(_IDLE_S)
        rested = _burdens(host)
        asked = time.perf_counter()
        viewers = [await session.attach() for session in sessions]
        await asyncio.gather(*map(answers, sessions, viewers))
        answered = time.perf_counter()
        await asyncio.gather(*(session.close() for session in sessions))
        closed = time.perf_counter()
        after = _burdens(host)
        return {
            "to open one, ms": (opened - start) / count * 1e3,
            "to attach to one and have it echo, ms": (answered - asked) / count * 1e3,
            "to close one of all, ms": (closed - answered) / count * 1e3,
            "left open": len(await host.sessions()),
            **_costs("host", before[:1], idle[:1], rested[:1], after[:1], count),
            **_costs("plugins", before[1:], idle[1:], rested[1:], after[1:], count),
        }


async def _opened(host: PluginHost, ids: Sequence[str], count: int) -> list[Session]:
    """One after the other in each plugin, in all plugins at the same time."""

    async def of(plugin: int) -> list[Session]:
        numbers = range(plugin, count, len(ids))
        return [await host.exec(ids[plugin], COMMAND, tty=is_terminal(n // len(ids))) for n in numbers]

    parts = await asyncio.gather(*map(of, range(len(ids))))
    return [session for part in parts for session in part]


def _burdens(host: PluginHost) -> list[Burden]:
    """Of this process, then of each plugin."""
    return [burden(os.getpid()), *(burden(one.pid) for one in host.plugins.values() if one.pid is not None)]


def _costs(
    who: str,
    before: Sequence[Burden],
    idle: Sequence[Burden],
    rested: Sequence[Burden],
    after: Sequence[Burden],
    count: int,
) -> dict[str, float]:
    def grown(name: str, now: Sequence[Burden]) -> float:
        return float(sum(getattr(one, name) for one in now) - sum(getattr(one, name) for one in before))

    return {
        f"{who}: resident memory of an idle session, KiB": grown("rss_kib", idle) / count,
        f"{who}: descriptors of a session": grown("descriptors", idle) / count,
        f"{who}: threads more": grown("threads", idle),
        f"{who}: processor time of all, idle, ms/s": (grown("cpu_s", rested) - grown("cpu_s", idle))
        / _IDLE_S
        * 1e3,
        f"{who}: descriptors left": grown("descriptors", after),
    }


def main() -> None:
    """Measure and print."""
    count, plugins = (*map(int, sys.argv[1:3]), *(_SESSIONS, _PLUGINS)[len(sys.argv) - 1 :])
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder), count, plugins))
    print(f"{count} sessions over {plugins} plugins")
    for name, value in figures.items():
        print(f"{value:10.2f}  {name}")


if __name__ == "__main__":
    main()
