"""`plugin-host exec`: run a program through a plugin, on its terminal or on pipes, as if it ran here."""

from __future__ import annotations

import os

import click

from . import variable
from .attach import detach_keys_option
from .option import Options, host_options, reach_options
from .programcommand import ProgramCommand
from .wordcompletion import program_words, resource_words

__all__ = ["command"]

_HELP = """Run COMMAND through PLUGIN, as docker exec does in a container.

The plugin is that of the running host (plugin-host run). Where none runs, and with --plugin-dir, --only,
--no-plugin or --config, just that plugin is started, and stopped afterwards. RESOURCE is needed where the
plugin has several; without COMMAND the plugin's default runs, for a shell plugin the shell.

Options stand before or right after PLUGIN. The first other word, or --, begins COMMAND, and everything
behind it is the command's own.

\b
  -i      stdin is passed on; without it the command's stdin is at its end
  -t      the command has a terminal, of the size of yours, whose changes it follows
  -i -t   and your keys go to it as they are, Ctrl-C too
  -d      it runs on by itself, and the id of its session is printed: see plugin-host attach. With -i or
          -t its stdin stays open for who attaches

Output is passed on byte by byte, without -t stderr apart. The command does not get your environment,
except TERM with -t and what -e names.

Without -i -t at a terminal, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to the
command. The third SIGINT or SIGTERM that it does not react to closes it: nothing was written since the
one before, or two seconds have not passed. With your keys passed on, a SIGINT, SIGTERM, SIGHUP or SIGQUIT
from elsewhere closes it.

On a running host the keys Ctrl-P Ctrl-Q (--detach-keys) leave the command running, with -i -t at a
terminal; the exit status is 0 then. The death of this closes it, unless --keep.

\b
Exit status: the command's own, or
  128+n  a signal n ended the command, or this
  125    the plugin could not: not found, not started, died; also wrong usage
  126    the command cannot be executed
  127    the command was not found
With --json what failed here is one JSON object on stderr; the command's output is its own. -d prints
{"plugin": ..., "session": ..., "token": ...}; with that in PLUGIN_HOST_TOKEN a command is the same client.
Where the host lets nobody else use the session, the token is told on stderr without --json, too.

\b
Examples:
  plugin-host exec -it shell
  plugin-host exec shell -w /tmp -e LANG=C -- ls -l
  echo hi | plugin-host exec -i shell/local cat
  plugin-host exec shell -t -- stty size
  plugin-host exec -dit shell
"""


@click.command("exec", cls=ProgramCommand, help=_HELP)
@click.argument("plugin", metavar="PLUGIN[/RESOURCE]", shell_complete=resource_words)
@click.argument(
    "command", metavar="[--] [COMMAND...]", nargs=-1, type=click.UNPROCESSED, shell_complete=program_words
)
@click.option("-i", "--interactive", is_flag=True, help="Pass stdin on.")
@click.option("-t", "--tty", is_flag=True, help="Give the command a terminal.")
@click.option("-d", "--detach", is_flag=True, help="Print the session's id and leave it running.")
@click.option("--keep", is_flag=True, help="Let the command live on when this dies.")
@detach_keys_option
@click.option(
    "-e",
    "--env",
    metavar="K[=V]",
    multiple=True,
    help="Set a variable for the command, or pass on your own. Repeatable.",
)
@click.option("-w", "--workdir", metavar="DIR", help="Where the command starts.")
@host_options
@reach_options
def command(
    options: Options,
    plugin: str,
    command: tuple[str, ...],
    interactive: bool,
    tty: bool,
    detach: bool,
    keep: bool,
    detach_keys: bytes,
    env: tuple[str, ...],
    workdir: str | None,
) -> None:
    with options.reported(runs_program=True):
        id, slash, resource = plugin.partition("/")
        if slash and not resource:
            raise click.UsageError(f"{plugin}: expected PLUGIN or PLUGIN/RESOURCE")
        told = [
            ("-w", workdir or ""),
            *(("COMMAND", word) for word in command),
        ]
        for where, word in told:
            variable.check_text(where, word)
        # Programs on a terminal need to know of what kind the user's is.
        variables = variable.variables(("TERM", *env) if tty else env, os.environ)

        from . import forwarding
        from .execution import Wanted, execute

        wanted = Wanted(
            plugin=id,
            resource=resource or None,
            command=command,
            with_stdin=interactive,
            tty=tty,
            env=variables,
            cwd=workdir,
            detach=detach,
            keep=keep,
            detach_keys=detach_keys,
        )
        raise click.exceptions.Exit(forwarding.run(lambda forwarder: execute(forwarder, options, wanted)))
