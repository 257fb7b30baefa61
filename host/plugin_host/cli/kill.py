"""`plugin-host kill`: a signal for what runs in a session of the running host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .option import Options, client_options
from .signalname import BadSignal, signal_name
from .wordcompletion import session_words, signal_words

if TYPE_CHECKING:
    from plugin_host.control import ControlClient

__all__ = ["command"]

_HELP = """Send a signal to the program of each SESSION of the running host.

SESSION is an id, the beginning of one, or either behind its plugin: PLUGIN/ID. A program may take a
signal and go on; plugin-host close ends the session whatever it does.

\b
Examples:
  plugin-host kill 3f0c
  plugin-host kill shell/build -s INT
"""


def _signal(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        return signal_name(value)
    except BadSignal as error:
        raise click.BadParameter(str(error)) from None


@click.command("kill", help=_HELP)
@click.argument("sessions", metavar="SESSION...", nargs=-1, required=True, shell_complete=session_words)
@click.option(
    "-s",
    "--signal",
    metavar="SIGNAL",
    default="TERM",
    show_default=True,
    callback=_signal,
    shell_complete=signal_words,
    help="By name or number.",
)
@client_options
def command(options: Options, sessions: tuple[str, ...], signal: str) -> None:
    with options.reported():
        from .contact import visit
        from .outcome import outcomes, report
        from .sessionlist import find_session

        async def kill(client: ControlClient) -> list[Any]:
            async def kill_one(name: str) -> dict[str, str]:
                session = await find_session(client, name)
                await session.signal(signal)
                return {"plugin": session.plugin, "session": session.id, "signal": signal}

            return await outcomes(sessions, kill_one)

        report(options, sessions, visit(options, "kill", kill), lambda done: done["session"])
