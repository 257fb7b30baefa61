"""`plugin-host send`: one request to a command listener of a running host."""

from __future__ import annotations

import os

import click

from plugin_host.wording import near

from . import output
from .call import seconds
from .failure import REFUSED
from .listening import command_dir_option, listener_folder, listener_names
from .option import Options, host_options
from .wordcompletion import listener_words

__all__ = ["command"]

_DEFAULT_S = 60.0

_HELP = """Send a request to a command listener of a running host and print the reply.

LISTENER is `host`, the id of a plugin, or the path of a socket (with a / in it). The request is a JSON
object with the name of a command in "Command" and further fields of your choice; @file and - read it from
a file and from stdin. It is sent as it is; what no listener could read is wrong usage, and not sent.

\b
Exit status:
  0    the reply has the Status 0
  1    the reply has another Status
  2    wrong usage
  3    no such listener, or no reply
  124  no reply within --timeout

\b
Examples:
  plugin-host send host '{"Command": "host.status"}'
  plugin-host send system '{"Command": "disk_usage", "path": "/"}' --json | jq .percent
  plugin-host send ./run/control.commands/system @request.json
"""


@click.command("send", help=_HELP)
@click.argument("listener", shell_complete=listener_words)
@click.argument("request")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=float,
    default=_DEFAULT_S,
    show_default=True,
    callback=seconds,
    help="Give up after this time.",
)
@command_dir_option
@host_options
def command(options: Options, listener: str, request: str, timeout: float, command_dir: str | None) -> None:
    with options.reported():
        from plugin_host.listener.client import send_text
        from plugin_host.notation import plain

        from .requesttext import request_text

        text = request_text(request)
        reply = send_text(_place(options, listener, command_dir), text, timeout)
        if options.as_json:
            output.write_json(reply)
        else:
            output.write(plain(reply, ascii_only=output.needs_ascii()) + "\n")
        if reply["Status"] != 0:
            raise click.exceptions.Exit(REFUSED)


def _place(options: Options, listener: str, command_dir: str | None) -> str:
    """The path of the listener's socket. Raises ListenerUnreachable when there is none of that name."""
    from plugin_host.errors import ListenerUnreachable

    if "/" in listener:
        return listener
    folder = listener_folder(options, command_dir)
    place = os.path.join(folder, listener)
    names = listener_names(folder)
    if names is None or listener in names:
        return place
    if not names:
        hint = "; `plugin-host run` makes them, and --socket or PLUGIN_HOST_SOCKET says of which host"
        raise ListenerUnreachable(f"there are no listeners in {folder}{hint}", path=place)
    alike = near(listener, names)
    hint = f" (did you mean {' or '.join(f'`{one}`' for one in alike)}?)" if alike else ""
    text = f"no listener `{output.printable(listener)}` in {folder}{hint}; there are: {', '.join(names)}"
    raise ListenerUnreachable(text, path=place)
