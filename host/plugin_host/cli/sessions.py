"""`plugin-host sessions`: what runs in the plugins of the running host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from . import output
from .option import Options, client_options
from .wordcompletion import running_words

if TYPE_CHECKING:
    from plugin_host.control import ControlClient

__all__ = ["command"]

_HELP = """Show the sessions of the running host, or of one of its plugins.

An ended session is shown as long as its plugin remembers it. The owner is the client that opened it and is
still there. A beginning of the id is enough to name a session elsewhere; --json has the whole ones.

\b
Examples:
  plugin-host sessions
  plugin-host sessions shell
  plugin-host sessions --json | jq -r '.[] | select(.state == "running") | .id'
"""


@click.command("sessions", help=_HELP)
@click.argument("plugin", required=False, shell_complete=running_words)
@client_options
def command(options: Options, plugin: str | None) -> None:
    with options.reported():
        from .contact import visit
        from .sessionlist import sessions_text

        found = visit(options, "sessions", lambda client: _sessions(client, plugin))
        if options.as_json:
            output.write_json(found)
        else:
            output.write(sessions_text(found))


async def _sessions(client: ControlClient, plugin: str | None) -> list[dict[str, Any]]:
    from .pluginlist import find_plugin
    from .sessionlist import list_sessions

    if plugin is not None:
        await find_plugin(client, plugin)
    return await list_sessions(client, plugin)
