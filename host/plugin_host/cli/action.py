"""`plugin-host action`: what plugins with the capability `action` do for an operator."""

from __future__ import annotations

import click

from .commandgroup import CommandGroup, Row

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


_COMMANDS = {
    "run-script": Row("actionscript", "Run a script through a plugin."),
    "upload": Row("actionupload", "Write a file through a plugin."),
    "exit": Row("actionorder", "End the plugin's process.", "exit"),
    "reboot": Row("actionorder", "Start the machine anew, through a plugin.", "reboot"),
    "shutdown": Row("actionorder", "Switch the machine off, through a plugin.", "shutdown"),
    "reload": Row("actionorder", "Have a plugin read its configuration again.", "reload"),
    "heartbeat": Row("actionorder", "Ask a plugin for a sign of life.", "heartbeat"),
    "change-key": Row("actionkey", "Give a plugin a new key, in steps.", "change_key"),
    "register": Row("actionkey", "Introduce a machine to a plugin.", "register"),
    "list": Row("actionlist", "Show the actions of the running host.", "list_actions"),
    "cancel": Row("actionlist", "End actions of the running host.", "cancel"),
}


@click.group("action", cls=CommandGroup, table=_COMMANDS, help=_HELP)
def command() -> None:
    pass
