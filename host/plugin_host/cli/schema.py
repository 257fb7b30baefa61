"""`plugin-host schema`: the JSON schema of the manifest, for editors and other tools."""

from __future__ import annotations

import click

from . import output
from .option import Options, output_options

__all__ = ["command"]

_HELP = """Print the JSON schema of plugin_manifest.json.

\b
Example:
  plugin-host schema > plugin_manifest.schema.json

An editor that knows JSON schemas then checks a manifest that begins with
{"$schema": "./plugin_manifest.schema.json", ...}.
"""


@click.command("schema", help=_HELP)
@output_options
def command(options: Options) -> None:
    with options.reported():
        from plugin_host.schema import schema_text

        output.write(schema_text())
