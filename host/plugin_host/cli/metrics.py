"""`plugin-host metrics`: the numbers of the running host, as Prometheus reads them."""

from __future__ import annotations

import click

from . import output
from .option import Options, client_options

__all__ = ["command"]

_HELP = """Print the metrics of the running host in the text format of Prometheus.

With --json the same numbers as one JSON object, with all the buckets of each command.

\b
Examples:
  plugin-host metrics
  plugin-host metrics | grep calls_in_flight
  plugin-host metrics --json | jq .plugins.system.usage
"""


@click.command("metrics", help=_HELP)
@client_options
def command(options: Options) -> None:
    with options.reported():
        from .contact import visit

        if options.as_json:
            output.write_json(visit(options, "metrics", lambda client: client.metrics()))
        else:
            text = visit(options, "metrics", lambda client: client.metrics_text())
            # A label may be any text of a plugin's, such as the name of a command.
            on_terminal = output.is_terminal(output.STDOUT)
            output.write(output.printable(text, lines=True) if on_terminal else text)
