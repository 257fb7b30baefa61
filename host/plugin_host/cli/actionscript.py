"""`plugin-host action run-script`: run a script through a plugin, as if it ran here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import account, variable
from .failure import ReadFailed, standard_input
from .option import Options, host_options, reach_options
from .programcommand import StatusCommand
from .wordcompletion import plugin_words

if TYPE_CHECKING:
    from plugin_host_sdk.types.action import RunScript

__all__ = ["command"]

# What a request has besides its script: arguments and variables.
_BESIDE_BYTES = 64 * 1024

_HELP = """Run the script in FILE, or on stdin (-), through PLUGIN.

The plugin is that of the running host (plugin-host run). Where none runs, and with --plugin-dir, --only,
--no-plugin or --config, just that plugin is started, and stopped afterwards.

What runs the script is --executable, or else its #! line, or else /bin/sh. Words behind FILE are its
arguments. Its output is passed on as it comes, stdout and stderr apart. It does not get your environment
but what -e names; with -e it has nothing else.

SIGINT (Ctrl-C), SIGTERM, SIGHUP and SIGQUIT cancel the script: it and all that it started get SIGTERM, and
2 s later SIGKILL. This waits for its end; the third time it does not. So does the death of this.

\b
Exit status: the script's own, or
  128+n  a signal n ended the script, or this
  124    its --timeout was over
  1      the plugin refuses it: not allowed, not privileged
  125    the plugin could not: not found, not started, died; also wrong usage, and a script that somebody
         else cancelled, if its own status is 0
  126    the script cannot be executed
  127    what should run it was not found
With --json each piece of output is one line of JSON, {"event": "output", "stream": ..., "offset": ...,
"data": ...}, and the last is {"event": "finished", "result": ...}.

\b
Examples:
  plugin-host action run-script automation nightly.sh
  plugin-host action run-script automation report.py --run-as www-data --cwd /srv -e LANG=C -- --all
  echo 'uname -a' | plugin-host action run-script automation -
"""


class _ScriptCommand(StatusCommand):
    hint = "For the script: what is the script's own stands behind --."


@click.command("run-script", cls=_ScriptCommand, help=_HELP)
@click.argument("plugin", shell_complete=plugin_words)
@click.argument("file", type=click.Path(allow_dash=True))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "-e",
    "--env",
    metavar="K[=V]",
    multiple=True,
    help="Set a variable for the script, or pass on your own. Repeatable.",
)
@click.option("--run-as", metavar="USER[:GROUP]", help="Whom it runs as, by name or number.")
@click.option("-w", "--cwd", metavar="DIR", help="Where it starts.")
@click.option("--executable", metavar="PROGRAM", help="What runs it.")
@click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True), help="End it after this."
)
@host_options
@reach_options
def command(
    options: Options,
    plugin: str,
    file: str,
    arguments: tuple[str, ...],
    env: tuple[str, ...],
    run_as: str | None,
    cwd: str | None,
    executable: str | None,
    timeout: float | None,
) -> None:
    with options.reported(runs_program=True):
        for where, word in (
            ("--cwd", cwd),
            ("--executable", executable),
            *(("", one) for one in arguments),
        ):
            variable.check_text(where or "argument", word or "")
        variables = variable.variables(env, os.environ)
        fields = {
            "name": "stdin" if file == "-" else Path(file).name[:200],
            "data": _read(file),
            "run_as": account.run_as("--run-as", run_as),
            "environment": variables,
            "working_directory": cwd,
            "executable": executable,
            "arguments": arguments,
            "timeout": timeout,
        }

        from . import forwarding, scriptexecution

        request = _request(fields)
        status = forwarding.run(
            lambda forwarder: scriptexecution.execute(forwarder, options, plugin, request)
        )
        raise click.exceptions.Exit(status)


def _read(file: str) -> bytes:
    """The script. Raises ReadFailed, also for one that does not fit into a message."""
    from plugin_host_sdk.protocol import MESSAGE_BYTES

    most = MESSAGE_BYTES - _BESIDE_BYTES
    try:
        if file == "-":
            data = standard_input().read(most + 1)
        else:
            with open(file, "rb") as opened:
                data = opened.read(most + 1)
    except OSError as error:
        raise ReadFailed(f"cannot read {file}: {error.strerror}") from None
    if len(data) > most:
        raise ReadFailed(
            f"{'stdin' if file == '-' else file} is too long: a script has at most {most} bytes; "
            "have plugin-host action upload write it, and run it with a short one"
        )
    return data


def _request(fields: dict[str, Any]) -> RunScript:
    from plugin_host_sdk.types.action import RunScript

    try:
        return RunScript(**fields)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
