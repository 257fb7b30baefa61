"""Where the time of a cold start goes: the imports of the plugin's process, and the host's part.

The plugin runs with the interpreter's own import timing, whose lines reach the host as any others on
standard error do: as log records.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from statistics import median

from .floor_start import InterpreterStart
from .ours import open_host
from .workload import SMALL

__all__ = ["report"]

_TURNS, _QUICK_TURNS = 15, 3
_SHOWN = 12
_IMPORT = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|(\s*)(\S+)")
_SWITCH = "PYTHONPROFILEIMPORTTIME"


class _Imports(logging.Handler):
    """Collects what the plugin's interpreter says of each import: microseconds of its own, and name."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if match := _IMPORT.search(record.getMessage()):
            self.found.append((int(match[1]), match[4]))


def report(quick: bool) -> None:
    """Print the parts of a cold start and the dearest imports of the plugin's process."""
    turns = _QUICK_TURNS if quick else _TURNS
    interpreter = median(InterpreterStart().measure("cold", 0)["ms"] for _ in range(turns))
    start, call = asyncio.run(_parts(turns))
    print(f"\ncold start: {start:.1f} ms until ready and {call:.2f} for the first call;", end=" ")
    print(f"a bare interpreter takes {interpreter:.1f} ms from its start to its end")
    imports = asyncio.run(_imports())
    total = sum(us for us, _ in imports) / 1e3
    print(f"  {total:.1f} ms of {len(imports)} imports (timing makes them dearer)")
    for us, name in sorted(imports, reverse=True)[:_SHOWN]:
        print(f"    {us / 1e3:6.2f} ms  {name}")


async def _parts(turns: int) -> tuple[float, float]:
    """Medians, in milliseconds, of the start and of the first call."""
    ours = await open_host()
    starts, calls = [], []
    try:
        for _ in range(turns):
            await ours.stop()
            before = time.perf_counter()
            await ours.start()
            ready = time.perf_counter()
            await ours.call(SMALL)
            calls.append(time.perf_counter() - ready)
            starts.append(ready - before)
    finally:
        await ours.close()
    return median(starts) * 1e3, median(calls) * 1e3


async def _imports() -> list[tuple[int, str]]:
    """All imports of one plugin's process from its start to its first answer."""
    log, handler = logging.getLogger("plugin_host.plugin.benchmark"), _Imports()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    os.environ[_SWITCH] = "1"
    try:
        ours = await open_host()
        try:
            await ours.call(SMALL)
        finally:
            await ours.close()
    finally:
        del os.environ[_SWITCH]
        log.removeHandler(handler)
        log.setLevel(level)
    return handler.found
