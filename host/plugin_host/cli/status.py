"""`plugin-host status`: the running host and its plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from . import output
from .duration import brief_duration
from .option import Options, client_options

if TYPE_CHECKING:
    from plugin_host.control import ControlClient

__all__ = ["command"]

_HELP = """Show the running host and the state of its plugins.

The exit status is 0 whenever the host answered, whatever has become of its plugins.

\b
Examples:
  plugin-host status
  plugin-host status --socket /run/plugin-host/control.sock
  plugin-host status --json | jq -r '.plugins[] | select(.state != "ready") | .id'
"""


@click.command("status", help=_HELP)
@client_options
def command(options: Options) -> None:
    with options.reported():
        from .contact import visit

        status = visit(options, "status", _status)
        if options.as_json:
            output.write_json(status)
        else:
            output.write(_as_text(status))


async def _status(client: ControlClient) -> dict[str, Any]:
    host = {**await client.status(), "socket": client.path}
    return {"host": host, "plugins": await client.plugins()}


def _as_text(status: dict[str, Any]) -> str:
    from .pluginlist import plugins_text

    host = status["host"]
    others = len(host.get("clients", ())) - 1
    said = [
        f"plugin-host {host['version']}",
        f"pid {host['pid']}",
        f"up {brief_duration(host['uptime_s'])}",
        f"{others or 'no'} other {'client' if others == 1 else 'clients'}",
    ]
    return f"{', '.join(said)}\n{output.printable(host['socket'])}\n\n{plugins_text(status['plugins'])}"
