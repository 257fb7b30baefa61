"""`plugin-host start`, `stop`, `restart`, `reload`: the life of the running host's plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .option import Options, client_options
from .wordcompletion import running_words

if TYPE_CHECKING:
    from plugin_host.control import ControlClient

__all__ = ["reload", "restart", "start", "stop"]

_HELPS = {
    "start": """Start each PLUGIN of the running host, unless it runs.

Also one that was stopped or has failed too often.
""",
    "stop": """Stop each PLUGIN of the running host and everything it started.

Its calls in flight are cancelled and its sessions end. It stays stopped until it is started again.
""",
    "restart": """Stop each PLUGIN of the running host and start it again.
""",
    "reload": """Let the manifest and code of each PLUGIN of the running host, as they are now, take over.

A new process starts beside the old one and takes new calls once it is ready; the old one finishes the
calls and sessions it has. If the new one does not come up, nothing has changed.
""",
}
_MORE = """
Several are dealt with side by side. Each is said with the state it has come to; with --json they are one
list. The exit status is that of the first that failed.

\b
Examples:
  plugin-host {name} system
  plugin-host {name} system shell --json
"""


def _command(name: str) -> click.Command:
    @click.command(name, help=_HELPS[name] + _MORE.format(name=name))
    @click.argument("plugins", metavar="PLUGIN...", nargs=-1, required=True, shell_complete=running_words)
    @client_options
    def command(options: Options, plugins: tuple[str, ...]) -> None:
        with options.reported():
            from .contact import visit
            from .outcome import outcomes, report
            from .pluginlist import plugin_line

            async def change(client: ControlClient) -> list[Any]:
                return await outcomes(plugins, getattr(client, name))

            report(options, plugins, visit(options, name, change), plugin_line)

    return command


start = _command("start")
stop = _command("stop")
restart = _command("restart")
reload = _command("reload")
