"""`plugin-host attach`: sit down at a session of the running host, and leave it running."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .detachkey import DEFAULT, BadKeys, parse_keys
from .option import Options, client_options
from .programcommand import StatusCommand
from .wordcompletion import session_words

if TYPE_CHECKING:
    from .forwarding import Forwarder

__all__ = ["command", "detach_keys_option"]

_HELP = """Show what SESSION of the running host puts out, first what is kept of it, and type into it.

SESSION is an id, the beginning of one, or either behind its plugin: PLUGIN/ID. plugin-host sessions lists
them. At a terminal your keys go to the session as they are, Ctrl-C too, and it has the size of yours,
whose changes it follows.

The keys Ctrl-P Ctrl-Q (--detach-keys) leave the session, which runs on. So does every signal that ends
this command: nothing but the program's end, or plugin-host close, ends a session that was left. The end of
stdin is not passed on.

With --read-only nothing is typed, Ctrl-C leaves as well, and a session that is faster than you is not
kept waiting: what you miss is counted.

\b
Exit status: the program's own when it ends, or
  0      you have left
  128+n  a signal n ended the program, or this
  125    no such session, no host, or the connection was lost; also wrong usage

\b
Examples:
  plugin-host attach 3f0c
  plugin-host attach shell/build --read-only
  plugin-host attach 3f0c --no-replay --detach-keys ctrl-a,d
"""


def _keys(context: click.Context, parameter: click.Parameter, value: str) -> bytes:
    try:
        return parse_keys(value)
    except BadKeys as error:
        raise click.BadParameter(str(error)) from None


detach_keys_option = click.option(
    "--detach-keys",
    metavar="KEYS",
    default=DEFAULT,
    show_default=True,
    callback=_keys,
    help="The keys that leave the session running, at a terminal: letters, or ctrl- and a letter, with"
    " commas between them. '' for none.",
)


@click.command("attach", cls=StatusCommand, help=_HELP)
@click.argument("session", shell_complete=session_words)
@click.option("--read-only", is_flag=True, help="Type nothing.")
@click.option("--no-replay", is_flag=True, help="Leave out what it has put out up to now.")
@click.option(
    "--offset", metavar="N", type=click.IntRange(0), help="Begin at this byte of its terminal or stdout."
)
@detach_keys_option
@client_options
def command(
    options: Options,
    session: str,
    read_only: bool,
    no_replay: bool,
    offset: int | None,
    detach_keys: bytes,
) -> None:
    with options.reported(runs_program=True):
        if no_replay and offset is not None:
            raise click.UsageError("--no-replay and --offset exclude each other")

        from . import forwarding
        from .attachment import Place, attach

        begin = -1 if no_replay else offset
        place = Place(name=session, read_only=read_only, offset=begin, detach_keys=detach_keys)

        async def attached(forwarder: Forwarder) -> int:
            return await attach(forwarder, options, place)

        raise click.exceptions.Exit(forwarding.run(attached, only_ends=True))
