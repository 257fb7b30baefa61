"""`plugin-host task run`: have a task done by a plugin, as if its program ran here."""

from __future__ import annotations

import os

import click

from . import variable
from .call import seconds
from .option import Options, host_options, reach_options
from .programcommand import ProgramCommand
from .wordcompletion import plugin_words, program_words

__all__ = ["command"]

_HELP = """Give PLUGIN a task, show its log, and end with its status.

What COMMAND is for is the plugin's to say; a runner runs it as a program. The plugin is that of the running
host (plugin-host run). Where none runs, and with --plugin-dir, --only, --no-plugin or --config, just that
plugin is started, and stopped afterwards.

Options stand before or right after PLUGIN. The first other word, or --, begins COMMAND.

The log is written to stdout as it comes, without loss: a task waits for who does not read. When it has
ended, the files of --artifact are brought, each written beside its place and then renamed; then the task is
closed. Ctrl-C, SIGTERM, SIGHUP and SIGQUIT kill the task, first gently and the second time at once, and its
end is waited for. The death of this kills it, too.

With -d the id of the task is printed, and it goes on in the running host by itself until plugin-host task
close: its log, files and shells can be had as long.

\b
Exit status: the task's own, or
  128+n  a signal n ended it, or this
  124    its --timeout was over
  125    the plugin could not: not found, not started, died, failed without a status; a file could not be
         brought; also wrong usage
With --json what failed here is one JSON object on stderr. -d prints {"plugin", "task", "token"}. Where the
host lets nobody else use the task, the token is told on stderr without --json, too.

\b
Examples:
  plugin-host task run runner -- make test
  plugin-host task run runner --timeout 600 --artifact /srv/build/out.tar:. -- sh -c 'cd /srv/build && make'
  id=$(plugin-host task run -d runner sleep 60)
"""


@click.command("run", cls=ProgramCommand, help=_HELP, short_help="Give a plugin a task and see it done.")
@click.argument("plugin", shell_complete=plugin_words)
@click.argument(
    "command", metavar="[--] [COMMAND...]", nargs=-1, type=click.UNPROCESSED, shell_complete=program_words
)
@click.option(
    "-e",
    "--env",
    metavar="K[=V]",
    multiple=True,
    help="Set a variable for the task, or pass on your own. Repeatable.",
)
@click.option("-w", "--cwd", metavar="DIR", help="Where the task starts.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=float,
    callback=seconds,
    help="Kill the task when it has run so long; starting the plugin is not counted.",
)
@click.option("--no-tty", is_flag=True, help="Run it on pipes, and not on a terminal.")
@click.option("-d", "--detach", is_flag=True, help="Print the task's id and leave it running.")
@click.option(
    "artifacts",
    "--artifact",
    metavar="PATH:DEST",
    multiple=True,
    help="Bring this file of the task here when it has ended; DEST may be a folder. Repeatable.",
)
@host_options
@reach_options
def command(
    options: Options,
    plugin: str,
    command: tuple[str, ...],
    env: tuple[str, ...],
    cwd: str | None,
    timeout: float | None,
    no_tty: bool,
    detach: bool,
    artifacts: tuple[str, ...],
) -> None:
    with options.reported(runs_program=True):
        for where, word in (("--cwd", cwd or ""), *(("COMMAND", word) for word in command)):
            variable.check_text(where, word)
        # Programs on a terminal need to know of what kind the user's is.
        variables = variable.variables(env if no_tty else ("TERM", *env), os.environ)
        if detach and artifacts:
            raise click.UsageError("--artifact waits for the end of the task, and -d does not")

        from . import forwarding
        from .fetching import parse_wish
        from .taskwork import Work, do

        work = Work(
            plugin=plugin,
            command=command,
            env=variables,
            cwd=cwd,
            timeout=timeout,
            tty=not no_tty,
            detach=detach,
            wishes=tuple(map(parse_wish, artifacts)),
        )
        raise click.exceptions.Exit(forwarding.run(lambda forwarder: do(forwarder, options, work)))
