"""How many bytes of sessions pass through a plugin, in either direction."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from plugin_host import Output

from .flow import Meter, both, child
from .session_host import closing

if TYPE_CHECKING:
    from plugin_host import PluginHost

__all__ = ["flow_in", "flow_out", "flow_terminal"]

_BLOCK = bytes(64 * 1024)


async def flow_out(host: PluginHost, seconds: float) -> dict[str, float]:
    """Output of a session on pipes."""
    return {"mb_per_s": await _output(host, "blocks", seconds, tty=False)}


async def flow_terminal(host: PluginHost, seconds: float) -> dict[str, float]:
    """Output of a session on a terminal, as it is and with its line ends changed; relayed and `direct`."""
    figures: dict[str, float] = {}
    for prefix, rate in (("", _terminal_rate), ("direct_", _direct_rate)):
        figures |= both(await rate(host, "raw", seconds), await rate(host, "cooked", seconds), prefix)
    return figures


async def flow_in(host: PluginHost, seconds: float) -> dict[str, float]:
    """Input of a session on pipes, until its program has read the last byte."""
    clock, sent = time.perf_counter, 0
    async with closing(host, child("sink"), tty=False) as session:
        await session.write(_BLOCK)
        start = clock()
        while clock() - start < seconds:
            await session.write(_BLOCK)
            sent += len(_BLOCK)
        await session.close_stdin()
        await session.wait()
        took = clock() - start
    return {"mb_per_s": sent / 1e6 / took}


async def _terminal_rate(host: PluginHost, mode: str, seconds: float) -> float:
    return await _output(host, mode, seconds, tty=True)


async def _direct_rate(host: PluginHost, mode: str, seconds: float) -> float:
    """Of a terminal that the plugin has handed to this process."""
    meter = Meter(seconds, is_terminal=True)
    async with closing(host, child(mode), tty=True, direct=True) as session:
        assert session.terminal is not None
        async with session.terminal as terminal:
            while meter.add(len(await terminal.read())):
                pass
    return meter.mb_per_s


async def _output(host: PluginHost, mode: str, seconds: float, *, tty: bool) -> float:
    meter = Meter(seconds, is_terminal=tty)
    async with closing(host, child(mode), tty=tty) as session, await session.attach() as viewer:
        async for item in viewer:
            if not isinstance(item, Output):
                raise ValueError(f"a viewer that may write lost output: {item}")
            if not meter.add(len(item.data)):
                break
    return meter.mb_per_s
