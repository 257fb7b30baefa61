"""`plugin-host action`: what plugins with the capability `action` do for an operator."""

from __future__ import annotations

import click

from . import actionkey, actionlist, actionorder, actionscript, actionupload

__all__ = ["command"]

_HELP = """Have a plugin do something to its machine: run a script, write a file, and orders.

\b
  plugin-host action run-script automation nightly.sh
  plugin-host action upload automation site.conf /etc/site.conf --mode 640
  plugin-host action heartbeat automation
  plugin-host action list

The plugin is that of the running host, or is started for this, as with plugin-host call. What it refuses
names the setting that would allow it; the exit status is 1 then.
"""


@click.group("action", help=_HELP, short_help="Run scripts and write files through a plugin, and orders.")
def command() -> None:
    pass


for _command in (
    actionscript.command,
    actionupload.command,
    *actionorder.commands,
    actionkey.change_key,
    actionkey.register,
    actionlist.list_actions,
    actionlist.cancel,
):
    command.add_command(_command)
