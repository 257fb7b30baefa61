"""`plugin-host logs`: what the plugins of the running host have logged, and what they log now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from plugin_host.level import LEVELS
from plugin_host.notation import to_json

from . import output
from .option import Options, client_options
from .wordcompletion import running_words

if TYPE_CHECKING:
    from plugin_host.control import ControlClient
    from plugin_host.logbook import LogRecord

__all__ = ["command", "record_text"]

_HELP = """Show what the plugins of the running host have logged, the oldest first.

That is their log records, the lines of their stderr, and what the host says about them.

The host keeps the newest of each plugin in memory. Records of the level debug are kept only while somebody
follows them with -f --level debug, or while the host itself shows them.

\b
Examples:
  plugin-host logs
  plugin-host logs -f --level warning
  plugin-host logs shell -n 20 --json | jq -r .message
"""

_COLOURS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m"}
_SOURCES = {"stderr": "stderr: ", "stdout": "stdout before it was ready: "}


@click.command("logs", help=_HELP)
@click.argument("plugin", required=False, shell_complete=running_words)
@click.option("follow", "-f", "--follow", is_flag=True, help="Go on with what is logged from now on.")
@click.option(
    "tail", "-n", "--tail", metavar="N", type=click.IntRange(0, 2**63 - 1), help="Only the last N records."
)
@click.option(
    "level",
    "--level",
    type=click.Choice(list(LEVELS), case_sensitive=False),
    default="info",
    help="Only records of this level and above; info unless it is given.",
)
@client_options
def command(options: Options, plugin: str | None, follow: bool, tail: int | None, level: str) -> None:
    with options.reported():
        from .contact import visit

        visit(options, "logs", lambda client: _show(client, options, plugin, follow, tail, level))


async def _show(
    client: ControlClient,
    options: Options,
    plugin: str | None,
    follow: bool,
    tail: int | None,
    level: str,
) -> None:
    from .following import follow_lines

    ascii_only, coloured = output.needs_ascii(), output.draws(output.STDOUT)

    def line(record: LogRecord) -> str:
        if options.as_json:
            return to_json(record.to_map(), ascii_only=ascii_only) + "\n"
        return record_text(record, coloured=coloured)

    told = await client.logs(plugin, level=level, tail=tail, follow=follow)
    await follow_lines(client, told, line, endless=follow)


def record_text(record: LogRecord, *, coloured: bool = False) -> str:
    """One record for people, with its line end."""
    from .logline import log_line

    text = _SOURCES.get(record.source, "") + record.message
    if record.source == "log":
        text = f"{record.logger}: {text}"
    colour = _COLOURS.get(record.level, "") if coloured else ""
    line = log_line(record.at, record.level, record.plugin or "-", text, record.fields, colour=colour)
    return f"{line}\n"
