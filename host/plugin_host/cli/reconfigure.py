"""`plugin-host reconfigure`: new settings for a plugin of the running host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from . import argument, output
from .call import seconds
from .option import Options, client_options
from .wordcompletion import running_words

if TYPE_CHECKING:
    from plugin_host.control import ControlClient

__all__ = ["command"]

_HELP = """Give PLUGIN of the running host new settings, in the place of all that it has.

A plugin that takes settings while it runs goes on with them, any other is restarted. It keeps them until
it is reloaded, or the host ends; plugin-host.toml is for those that are to stay.

\b
Settings:
  key=value      text
  key:=JSON      any JSON value: a number, true, null, a list, a map
  '{...}'        all settings as one JSON map
  @file or -     such a map from a file, or from stdin

Text is not converted: a number is written key:=5.

\b
Examples:
  plugin-host reconfigure system interval:=5 label=main
  plugin-host reconfigure system '{"interval": 5}'
"""


@click.command("reconfigure", help=_HELP)
@click.argument("plugin", shell_complete=running_words)
@click.argument("settings", nargs=-1, required=True)
@click.option(
    "--timeout", metavar="SECONDS", type=float, callback=seconds, help="How long the plugin may take."
)
@client_options
def command(options: Options, plugin: str, settings: tuple[str, ...], timeout: float | None) -> None:
    with options.reported():
        given = argument.parse(settings).value
        if not isinstance(given, dict):
            raise click.UsageError("settings are a map: pass key=value, key:=JSON or one JSON map")

        from .contact import visit
        from .pluginlist import plugin_line

        async def reconfigure(client: ControlClient) -> dict[str, Any]:
            return await client.reconfigure(plugin, given, timeout=timeout)

        changed = visit(options, "reconfigure", reconfigure)
        if options.as_json:
            output.write_json(changed)
        else:
            output.write(output.printable(plugin_line(changed)) + "\n")
