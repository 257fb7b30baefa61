"""`plugin-host top`: what the plugins of the running host do and use, as a table that follows it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import click

from plugin_host.notation import to_json

from . import output
from .option import Options, client_options
from .topline import SORTS, as_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.control import ControlClient
    from plugin_host.metric.snapshot import Snapshot

    # Takes the later and the earlier numbers.
    Show = Callable[[Snapshot, Snapshot], None]

__all__ = ["command"]

_HELP = """Show what each plugin of the running host does and uses, again and again.

CPU%, CALLS/S, FAIL/S and the durations are those of the last interval: half of the calls took at most
P50, 99 of 100 at most P99. CPU% 100 is one processor. CPU% and MEM are those of all processes of a
plugin.

Off a terminal, or with --json, it prints one JSON object on a line for each interval. q or Ctrl-C ends it.

\b
Examples:
  plugin-host top
  plugin-host top --sort memory --interval 5
  plugin-host top --once --json | jq '.plugins[] | {plugin, memory_bytes}'
"""


def _span(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """The value of `--interval`, checked; not a number is in no range."""
    if not 0.1 <= value <= 3600:
        raise click.BadParameter(f"expected seconds from 0.1 to 3600, found {value:g}")
    return value


@click.command("top", help=_HELP, short_help="Show what plugins do and use, again and again.")
@click.option(
    "interval",
    "--interval",
    metavar="SECONDS",
    type=float,
    default=1.0,
    callback=_span,
    help="How long to count before the next picture; 1 unless it is given.",
)
@click.option(
    "sort",
    "--sort",
    type=click.Choice(list(SORTS)),
    default="cpu",
    help="The plugin with the most of this comes first; `plugin` leaves them as the host has them.",
)
@click.option("once", "--once", is_flag=True, help="One look, over one interval, and the end.")
@client_options
def command(options: Options, interval: float, sort: str, once: bool) -> None:
    with options.reported():
        from .contact import visit

        as_json = options.as_json or not output.is_terminal(output.STDOUT)
        if as_json:
            visit(options, "top", lambda client: _print(client, interval, sort, once))
        elif once:
            visit(options, "top", lambda client: _once(client, interval, sort))
        else:
            visit(options, "top", lambda client: _watch(client, interval, sort))


async def _once(client: ControlClient, interval: float, sort: str) -> None:
    """The table on the terminal, which goes on below it."""
    from .table import table
    from .topline import lines, ordered
    from .toptable import TITLES, cells

    earlier = await client.metrics()
    await _pause(client, interval)
    shown = ordered(lines(await client.metrics(), earlier), sort)
    output.write(table(TITLES, [cells(line) for line in shown]))


async def _print(client: ControlClient, interval: float, sort: str, once: bool) -> None:
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


async def _watch(client: ControlClient, interval: float, sort: str) -> None:
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
