"""`plugin-host events`: what has happened in the running host, and what happens now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from plugin_host.notation import to_json

from . import output
from .option import Options, client_options

if TYPE_CHECKING:
    from plugin_host.control import ControlClient

__all__ = ["command"]

_HELP = """Show what has happened in the running host lately: changes of state, sessions, plugins that hang.

The host keeps the newest 200 events. With --json every event is one JSON object on one line, as
`plugin-host run --json` prints it.

\b
Examples:
  plugin-host events
  plugin-host events -f
  plugin-host events -f --json | jq -c 'select(.event == "death")'
"""


@click.command("events", help=_HELP)
@click.option("follow", "-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option("tail", "-n", "--tail", metavar="N", type=click.IntRange(0), help="Only the last N events.")
@client_options
def command(options: Options, follow: bool, tail: int | None) -> None:
    with options.reported():
        from .contact import visit

        visit(options, "events", lambda client: _show(client, options, follow, tail))


async def _show(client: ControlClient, options: Options, follow: bool, tail: int | None) -> None:
    from .eventline import event_line
    from .following import follow_lines

    ascii_only = output.needs_ascii()
    width = max((len(one["id"]) for one in await client.plugins() if not one["skipped"]), default=0)

    def line(event: dict[str, Any]) -> str:
        if options.as_json:
            return to_json(event, ascii_only=ascii_only) + "\n"
        return event_line(event, width)

    await follow_lines(client, await client.events(tail=tail, follow=follow), line, endless=follow)
