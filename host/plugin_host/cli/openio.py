"""`plugin-host open-io`: a token with which any program gets a session's streams as descriptors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import output
from .option import Options, client_options
from .wordcompletion import session_words, stream_words

if TYPE_CHECKING:
    from plugin_host.control import ControlClient, IoTicket

__all__ = ["command"]

_HELP = """Print a token with which any program on this machine gets streams of a session of the running
host, as descriptors that it reads and writes as files.

SESSION is an id, the beginning of one, or either behind its plugin: PLUGIN/ID. The token is good once,
for 30 seconds, at the path of the control socket followed by .io, for programs of the same user. STREAMS
are one to three of stdin, stdout and stderr, or stdio, one descriptor for the first two. docs/raw-io.md
has the protocol, and a program in C.

\b
Examples:
  plugin-host open-io 3f0c9a
  ./open_io $(plugin-host open-io 3f0c9a --json | jq -r '.socket, .token')
  plugin-host open-io 3f0c9a --streams stdout,stderr --offset 0 --json
"""


def _names(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    return [name.strip() for name in value.split(",")]


@click.command("open-io", help=_HELP)
@click.argument("session", shell_complete=session_words)
@click.option(
    "--streams",
    default="stdin,stdout",
    show_default=True,
    callback=_names,
    shell_complete=stream_words,
    help="In the order wanted.",
)
@click.option(
    "--offset",
    type=click.IntRange(min=-1),
    metavar="N",
    help="The first byte of stdout that is wanted; -1 is only what comes. Else the oldest that is kept.",
)
@click.option(
    "--lossless/--lossy",
    default=None,
    help="Whether the session waits for a slow reader, or cuts it off. Else who also writes, or is alone,"
    " is waited for.",
)
@click.option(
    "--close-stdin/--keep-stdin",
    default=None,
    help="Whether the end of what is written ends the session's input. Else it does, but for a terminal.",
)
@client_options
def command(
    options: Options,
    session: str,
    streams: list[str],
    offset: int | None,
    lossless: bool | None,
    close_stdin: bool | None,
) -> None:
    with options.reported():
        from .contact import visit
        from .sessionlist import find_session

        async def ask(client: ControlClient) -> IoTicket:
            found = await find_session(client, session)
            return await client.open_io(
                found, streams, offset=offset, lossless=lossless, close_stdin=close_stdin
            )

        ticket = visit(options, "open-io", ask)
        if options.as_json:
            output.write_json({**ticket._asdict(), "streams": streams})
        else:
            output.write(f"{ticket.token}\n")
