"""`plugin-host metadata`: what the running host tells its plugins, read, changed and watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from plugin_host.notation import plain, to_json

from . import argument, output
from .option import Options, client_options
from .wordcompletion import metadata_words

if TYPE_CHECKING:
    from plugin_host.control import ControlClient
    from plugin_host.metadata.tree import MetadataEntry

__all__ = ["command"]

_HELP = """Read and change the metadata of the running host.

Metadata is a tree of values; a path names one, such as /task/env, and / all. Plugins read and watch what
their manifest grants them (metadata.read:/path). It lives as long as the host, which begins with what the
configuration has under [metadata].
"""

_path = click.argument("path", shell_complete=metadata_words)


@click.group("metadata", help=_HELP)
def command() -> None:
    pass


@command.command("get", short_help="Print what is at a path.")
@_path
@client_options
def _get(options: Options, path: str) -> None:
    """Print what is at PATH: texts and numbers as they are, the rest as JSON.

    With --json exactly one line of JSON; what JSON lacks is written as plugin-host call writes it.
    """
    with options.reported():
        from .contact import visit

        value = visit(options, "metadata get", lambda client: client.metadata.get(path))
        if options.as_json:
            output.write_json(value)
        else:
            output.write(plain(value, ascii_only=output.needs_ascii()) + "\n")


@command.command("set", short_help="Put a value at a path.")
@_path
@click.argument("value")
@client_options
def _put(options: Options, path: str, value: str) -> None:
    """Put VALUE at PATH, in place of all that is there.

    VALUE is text, or JSON behind `:=`; a map is a folder. Folders on the way are made. With --json the
    version of it is printed.

    \b
    Examples:
      plugin-host metadata set /task/name nightly
      plugin-host metadata set /task ':={"name": "nightly", "step": 1}'
    """
    with options.reported():
        from .contact import visit

        what = argument.parse_value("VALUE", value)
        version = visit(options, "metadata set", lambda client: client.metadata.set(path, what))
        if options.as_json:
            output.write_json({"path": path, "version": version})


@command.command("delete", short_help="Remove what is at a path.")
@_path
@client_options
def _delete(options: Options, path: str) -> None:
    """Remove what is at PATH, and all below it."""
    with options.reported():
        from .contact import visit

        visit(options, "metadata delete", lambda client: client.metadata.delete(path))
        if options.as_json:
            output.write_json({"path": path})


@command.command("watch", short_help="Print what is at a path whenever it changes.")
@_path
@click.option("--once", is_flag=True, help="End after the first change.")
@client_options
def _watch_command(options: Options, path: str, once: bool) -> None:
    """Print what is at PATH, and again whenever it changes, until Ctrl-C.

    One line each: the value, or `-` when there is nothing. With --json lines are
    {"path", "exists", "value", "version"}. Who reads slowly gets the newest, and not every step.
    """
    with options.reported():
        from .contact import visit

        visit(options, "metadata watch", lambda client: _watch(client, path, options, once))


async def _watch(client: ControlClient, path: str, options: Options, once: bool) -> None:
    from .following import follow_lines

    def line(entry: MetadataEntry) -> str:
        if options.as_json:
            told = {"path": path, "exists": entry.exists, "value": entry.value, "version": entry.version}
            return to_json(told, ascii_only=output.needs_ascii()) + "\n"
        return f"{_shown(entry.value) if entry.exists else '-'}\n"

    if not once:
        await follow_lines(client, await client.metadata.watch(path), line, endless=True)
        return
    async with await client.metadata.watch(path) as told:
        await anext(told)
        output.write(line(await anext(told)))


def _shown(value: Any) -> str:
    """On one line."""
    return output.printable(value if isinstance(value, str) else to_json(value))
