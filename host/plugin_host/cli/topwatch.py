"""Looks at the running host again and again, for `plugin-host top`.

Invariant: what is shown for an interval is the difference of the two looks around it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from plugin_host.notation import to_json

from . import output
from .topline import as_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.control import ControlClient
    from plugin_host.metric.snapshot import Snapshot

    # Takes the later and the earlier numbers.
    Show = Callable[[Snapshot, Snapshot], None]

__all__ = ["print_each", "show_each", "watch"]


async def show_each(client: ControlClient, interval: float, sort: str, once: bool) -> None:
    """The table for each interval, one below the other."""
    from .outlet import Outlet
    from .topline import lines, ordered
    from .topscreen import table_text

    outlet = Outlet()
    try:
        earlier = await client.metrics()
        while True:
            await _pause(client, interval)
            later = await client.metrics()
            text = table_text(ordered(lines(later, earlier), sort))
            await outlet.write(text if once else f"{text}\n")
            if once:
                return
            earlier = later
    finally:
        outlet.close()


async def print_each(client: ControlClient, interval: float, sort: str, once: bool) -> None:
    """One object for each interval."""
    from .outlet import Outlet

    ascii_only = output.needs_ascii()
    outlet = Outlet()
    try:
        earlier = await client.metrics()
        while True:
            await _pause(client, interval)
            later = await client.metrics()
            await outlet.write(to_json(as_map(later, earlier, sort), ascii_only=ascii_only) + "\n")
            if once:
                return
            earlier = later
    finally:
        outlet.close()


async def watch(client: ControlClient, interval: float, sort: str) -> None:
    """The table on a screen of its own, until a key ends it."""
    from .livescreen import LiveScreen
    from .topscreen import TopScreen

    picture = TopScreen(sort, interval)
    enough = asyncio.Event()

    def pressed(key: str) -> None:
        if key in "qQ":
            enough.set()

    with LiveScreen(picture.draw, pressed) as screen:

        def show(later: Snapshot, earlier: Snapshot) -> None:
            picture.look(later, earlier)
            screen.refresh()

        looking = asyncio.create_task(_look(client, interval, show))
        ending = asyncio.create_task(enough.wait())
        try:
            await asyncio.wait((looking, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
            looking.cancel()
        if looking.done() and not looking.cancelled():
            looking.result()  # it ends by failing alone


async def _look(client: ControlClient, interval: float, show: Show) -> None:
    earlier = await client.metrics()
    show(earlier, earlier)
    while True:
        await _pause(client, interval)
        later = await client.metrics()
        show(later, earlier)
        earlier = later


async def _pause(client: ControlClient, interval: float) -> None:
    """Wait for so long, or until the host is gone, which the next question to it tells."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(interval):
            await client.wait_closed()
