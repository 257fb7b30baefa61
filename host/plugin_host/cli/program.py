"""The command `plugin-host` as a whole: its commands, its version, and how it ends."""

from __future__ import annotations

import signal
import sys

import click

from plugin_host.version import VERSION

from . import (
    attach,
    call,
    close,
    completion,
    doctor,
    events,
    exec,
    kill,
    lifecycle,
    listing,
    logs,
    metadata,
    metrics,
    openio,
    output,
    reconfigure,
    run,
    schema,
    send,
    sessions,
    status,
    task,
    top,
    validate,
)
from .failure import USAGE, report_usage

__all__ = ["main", "program"]

# msgpack nests up to 1024 levels, each of which takes a few frames to be written as JSON.
_FRAMES = 10_000

_HELP = """Run plugins in processes of their own, and call them.

\b
  plugin-host list                             what is found, and what is broken and why
  plugin-host run                              start all plugins and keep them running
  plugin-host status                           the host that runs, and its plugins
  plugin-host call system disk_usage path=/    call a command of a plugin
  plugin-host exec -it shell                   open a shell through a plugin
  plugin-host task run runner -- make test     give a plugin work, and see it done
  plugin-host top                              what the plugins of the host that runs do and use
  plugin-host logs -f                          what they log
  plugin-host send host '{"Command": "host.status"}'   ask the one that runs
  plugin-host doctor                           what is wrong here, and what to do about it

call, exec and task run use the host that runs, and start the plugin for themselves where none does.

Results go to stdout and errors to stderr. Exit status: 0 done; 1 the plugin said no, or faults were
found; 2 wrong usage; 3 not found, not ready or not started; 4 the plugin died in the call; 124 timed
out. exec, attach and task run end with the status of what ran.
"""


@click.group(
    help=_HELP,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(VERSION, prog_name="plugin-host", message="%(prog)s %(version)s")
@click.pass_context
def program(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        output.complain(context.get_help() + "\n")
        context.exit(USAGE)


for _command in (
    run.command,
    listing.command,
    call.command,
    exec.command,
    openio.command,
    status.command,
    *lifecycle.commands,
    reconfigure.command,
    sessions.command,
    attach.command,
    kill.command,
    close.command,
    logs.command,
    events.command,
    top.command,
    metrics.command,
    task.command,
    metadata.command,
    send.command,
    validate.command,
    schema.command,
    doctor.command,
    completion.command,
):
    program.add_command(_command)


def main() -> int:
    """Run the command line; the exit status."""
    output.open_standard_descriptors()
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _FRAMES))
    try:
        status = program.main(prog_name="plugin-host", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        report_usage(error)
        return error.exit_code
    except BrokenPipeError:  # of help and version; commands deal with their own
        output.silence()
        return 128 + signal.SIGPIPE
    return status if isinstance(status, int) else 0
