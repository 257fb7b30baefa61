"""`plugin-host close`: the end of sessions of the running host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .option import Options, client_options
from .wordcompletion import session_words

if TYPE_CHECKING:
    from plugin_host.control import ControlClient

__all__ = ["command"]

_HELP = """End each SESSION of the running host and forget it.

SESSION is an id, the beginning of one, or either behind its plugin: PLUGIN/ID. What runs gets SIGHUP or
SIGTERM, and SIGKILL after two seconds, all that it has started included.

\b
Examples:
  plugin-host close 3f0c
  plugin-host close shell/build shell/watch
"""


@click.command("close", help=_HELP)
@click.argument("sessions", metavar="SESSION...", nargs=-1, required=True, shell_complete=session_words)
@client_options
def command(options: Options, sessions: tuple[str, ...]) -> None:
    with options.reported():
        from .contact import visit
        from .outcome import outcomes, report
        from .sessionlist import find_session

        async def close(client: ControlClient) -> list[Any]:
            async def close_one(name: str) -> dict[str, str]:
                session = await find_session(client, name)
                await session.close()
                return {"plugin": session.plugin, "session": session.id}

            return await outcomes(sessions, close_one)

        report(options, sessions, visit(options, "close", close), lambda done: done["session"])
