"""The command `plugin-host` as a whole: its commands, its version, and how it ends."""

from __future__ import annotations

import os
import signal
import sys

import click

from plugin_host.version import VERSION

from . import output
from .commandgroup import CommandGroup, ReaderGone, Row
from .failure import REFUSED, USAGE, report_usage

__all__ = ["COMPLETING", "main", "program"]

COMPLETING = "_PLUGIN_HOST_COMPLETE"
"""Set by the scripts of shells when they ask for words; its value says what for."""

# msgpack nests up to 1024 levels, each of which takes a few frames to be written as JSON.
_FRAMES = 10_000

_HELP = """Run plugins in processes of their own, and call them.

\b
  plugin-host list                             what is found, and what is broken and why
  plugin-host run                              start all plugins and keep them running
  plugin-host status                           the host that runs, and its plugins
  plugin-host call system disk_usage path=/    call a command of a plugin
  plugin-host exec -it shell                   open a shell through a plugin
  plugin-host action run-script PLUGIN FILE    run a script through a plugin
  plugin-host task run runner -- make test     give a plugin work, and see it done
  plugin-host top                              what the plugins of the host that runs do and use
  plugin-host logs -f                          what they log
  plugin-host send host '{"Command": "host.status"}'   ask the one that runs
  plugin-host doctor                           what is wrong here, and what to do about it

call, exec, action and task run use the host that runs, and start the plugin for themselves where none does.

Results go to stdout and errors to stderr. Exit status: 0 done; 1 the plugin said no, or faults were
found; 2 wrong usage; 3 not found, not ready or not started; 4 the plugin died in the call; 124 timed
out. exec, attach, action run-script and task run end with the status of what ran.
"""


_COMMANDS = {
    "run": Row("run", "Start all plugins and keep them running."),
    "list": Row("listing", "Show what is found, and what is broken and why."),
    "call": Row("call", "Call a command of a plugin and print its result."),
    "exec": Row("exec", "Run a program through a plugin, as docker exec."),
    "open-io": Row("openio", "Print a token for a session's descriptors."),
    "status": Row("status", "Show the running host and its plugins."),
    "start": Row("lifecycle", "Start each PLUGIN of the running host, unless it runs.", "start"),
    "stop": Row("lifecycle", "Stop each PLUGIN of the running host and everything it started.", "stop"),
    "restart": Row("lifecycle", "Stop each PLUGIN of the running host and start it again.", "restart"),
    "reload": Row(
        "lifecycle", "Let manifest and code of each PLUGIN, as they are now, take over.", "reload"
    ),
    "reconfigure": Row("reconfigure", "Give a plugin of the running host new settings."),
    "sessions": Row("sessions", "Show the sessions of the running host."),
    "attach": Row("attach", "Show a session, and type into it."),
    "kill": Row("kill", "Send a signal to a session's program."),
    "close": Row("close", "End a session and forget it."),
    "logs": Row("logs", "Show what plugins of the running host log."),
    "events": Row("events", "Show what happens in the running host."),
    "top": Row("top", "Show what plugins do and use, again and again."),
    "metrics": Row("metrics", "Print the metrics of the running host."),
    "task": Row("task", "Give plugins work, and look after it."),
    "metadata": Row("metadata", "Read and change the metadata of the running host."),
    "send": Row("send", "Send JSON to a command listener of a running host."),
    "validate": Row("validate", "Name every fault of a manifest or a folder of plugins."),
    "schema": Row("schema", "Print the JSON schema of plugin_manifest.json."),
    "action": Row("action", "Run scripts and write files through a plugin, and orders."),
    "doctor": Row("doctor", "Look for faults, and say what to do about each."),
    "completion": Row("completion", "Print a script that completes words in a shell."),
}


@click.group(
    cls=CommandGroup,
    table=_COMMANDS,
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


def main() -> int:
    """Run the command line; the exit status."""
    output.open_standard_descriptors()
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _FRAMES))
    try:
        if COMPLETING in os.environ:
            from .bashwords import mend

            mend()
        status = program.main(prog_name="plugin-host", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        report_usage(error)
        return error.exit_code
    except click.Abort:  # Ctrl-C before a command deals with it
        return 128 + signal.SIGINT
    except (BrokenPipeError, ReaderGone):  # of help and version; commands deal with their own
        output.silence()
        return 128 + signal.SIGPIPE
    except OSError as error:  # the same
        if error.filename is not None:  # no file is opened for them: this is a fault of ours
            raise
        output.silence()
        output.complain(f"plugin-host: cannot write to stdout: {error.strerror or error}\n")
        return REFUSED
    return status if isinstance(status, int) else 0
