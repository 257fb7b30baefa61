"""The echo of one key through a session, with nothing else going on and beside a flooding session.

The ways to flood take turns with silence in short blocks, so that whatever else the machine does
falls on all of them alike.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from plugin_host import Output

from . import keystroke
from .sample import latency
from .session_host import closing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from plugin_host import PluginHost, Session, Viewer

__all__ = ["keys"]

_BLOCKS = 8
_FLOOD = ["yes", "a line of output like many that programs print when they have much to say"]
# Full buffers on the way: from then on the flood is as it stays.
_STEADY_BYTES = 4 << 20


async def keys(host: PluginHost, seconds: float) -> dict[str, float]:
    """Latencies of echoes; each kind has as many keys as `seconds` have room for."""
    kinds = {
        "": _silence,
        "terminal_": lambda host: _flood(host, tty=True),
        "pipe_": lambda host: _flood(host, tty=False),
        "detached_": _flood_detached,
    }
    times: dict[str, list[float]] = {prefix: [] for prefix in kinds}
    count = max(1, keystroke.presses(seconds) // _BLOCKS)
    async with closing(host, keystroke.ECHO, tty=True) as session, await session.attach() as viewer:
        await _until_ready(viewer)
        for _ in range(_BLOCKS):
            for prefix, beside in kinds.items():
                async with beside(host):
                    times[prefix] += await _press(session, viewer, count)
    return {
        f"{prefix}{name}": number
        for prefix, series in times.items()
        for name, number in latency(series).items()
    }


async def _press(session: Session, viewer: Viewer, count: int) -> list[float]:
    clock, times = time.perf_counter, []
    for _ in range(count):
        await asyncio.sleep(keystroke.pause())
        before = clock()
        await session.write(keystroke.KEY)
        item = await anext(viewer)
        times.append(clock() - before)
        if not isinstance(item, Output) or item.data != keystroke.KEY:
            raise ValueError(f"the echo of a key is {item}")
    return times


async def _until_ready(viewer: Viewer) -> None:
    seen = b""
    async for item in viewer:
        assert isinstance(item, Output)
        seen += item.data
        if seen.endswith(keystroke.READY):
            return
    raise EOFError(f"the session of the echo has ended: {seen!r}")


@asynccontextmanager
async def _silence(host: PluginHost) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def _flood(host: PluginHost, *, tty: bool) -> AsyncIterator[None]:
    """Another session whose output is read as fast as it comes."""
    async with closing(host, _FLOOD, tty=tty) as session, await session.attach() as viewer:
        is_steady = asyncio.Event()
        reader = asyncio.create_task(_read(viewer, is_steady.set))
        try:
            await is_steady.wait()
            yield
        finally:
            reader.cancel()
            await asyncio.wait([reader])
    if not reader.cancelled():
        reader.result()


async def _read(viewer: Viewer, steady: Callable[[], None]) -> None:
    read = 0
    async for item in viewer:
        assert isinstance(item, Output)
        read += len(item.data)
        if read > _STEADY_BYTES:
            steady()


@asynccontextmanager
async def _flood_detached(host: PluginHost) -> AsyncIterator[None]:
    """Another session whose output nobody reads."""
    async with closing(host, _FLOOD, tty=True, detached=True) as session:
        await _until_written(session, _STEADY_BYTES)
        yield


async def _until_written(session: Session, size: int) -> None:
    # Nobody looks at it, so it has to be asked; half a second is long for what it writes.
    for _ in range(1000):
        if (await session.get()).output["stdout"].end >= size:
            return
        await asyncio.sleep(0.005)
    raise TimeoutError(f"{session!r} does not flood")
