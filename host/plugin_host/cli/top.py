"""`plugin-host top`: what the plugins of the running host do and use, as a table that follows it."""

from __future__ import annotations

import click

from . import output
from .option import Options, client_options
from .topline import SORTS

__all__ = ["command"]

_HELP = """Show what each plugin of the running host does and uses, again and again.

CPU%, CALLS/S, FAIL/S and the durations are those of the last interval: half of the calls took at most
P50, 99 of 100 at most P99. CPU% 100 is one processor. CPU% and MEM are those of all processes of a
plugin.

Off a terminal, or with --json, it prints one JSON object on a line for each interval, and on a terminal
that cannot draw (TERM=dumb) one table below the other. q or Ctrl-C ends it.

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


@click.command("top", help=_HELP)
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
        from . import topwatch
        from .contact import visit

        as_json = options.as_json or not output.is_terminal(output.STDOUT)
        if as_json:
            visit(options, "top", lambda client: topwatch.print_each(client, interval, sort, once))
        elif once or not output.draws(output.STDOUT):
            visit(options, "top", lambda client: topwatch.show_each(client, interval, sort, once))
        else:
            visit(options, "top", lambda client: topwatch.watch(client, interval, sort))
