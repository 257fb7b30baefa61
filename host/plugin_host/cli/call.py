"""`plugin-host call`: start one plugin, call one of its commands, show the result, stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from plugin_host.notation import plain

from . import argument, output
from .option import Options, host_options
from .progress import ProgressLine

if TYPE_CHECKING:
    from plugin_host.host import PluginHost
    from plugin_host.plugin import Plugin

    from .argument import Parameters

__all__ = ["command"]

_LONGEST_S = 365 * 24 * 3600.0

_HELP = """Call COMMAND of PLUGIN and print its result.

Starts just that plugin and stops it afterwards. Without COMMAND it says which commands there are.

\b
Parameters:
  key=value      text, converted to the type the command declares
  key:=JSON      any JSON value: a number, true, null, a list, a map
  '{...}'        all parameters as one JSON map
  '[...]'        positional parameters, for plugins that speak plain msgpack-RPC
  @file or -     such a map or list from a file, or from stdin

Text and numbers are printed as they are, structures as indented JSON; with --json the result is
exactly one line of JSON. What JSON lacks is written {"$bytes": base64}, {"$ext": [n, base64]},
{"$float": "NaN"} and {"$map": [[key, value], ...]}, and read back in JSON parameters.

\b
Exit status:
  0    the result was printed
  1    the plugin said no: an error, a status of its own, no such command
  2    wrong usage or a broken configuration
  3    the plugin was not found, may not run, or did not start
  4    the plugin died in the call
  124  no answer within --timeout
  130  interrupted by Ctrl-C

\b
Examples:
  plugin-host call system disk_usage path=/
  plugin-host call system processes sort=memory limit=5 --json | jq '.processes[0]'
  plugin-host call system children '{"pid": 1, "recursive": false}'
  plugin-host call neovim nvim_eval '["6*7"]'
"""


def _seconds(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value <= _LONGEST_S:
        raise click.BadParameter(f"expected seconds above 0, at most {_LONGEST_S:.0f}, a year")
    return value


@click.command("call", help=_HELP, short_help="Call a command of a plugin and print its result.")
@click.argument("plugin")
@click.argument("command", required=False)
@click.argument("parameters", nargs=-1)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=float,
    callback=_seconds,
    help="Give the call up after this time; starting the plugin is not counted.",
)
@host_options
def command(
    options: Options, plugin: str, command: str | None, parameters: tuple[str, ...], timeout: float | None
) -> None:
    with options.reported():
        from . import interruption

        given = argument.parse(parameters)
        interruption.run(_call(options, plugin, command, given, timeout))


async def _call(
    options: Options, plugin_id: str, command: str | None, given: Parameters, timeout: float | None
) -> None:
    from .lookup import chosen

    host = options.host(only=[plugin_id], restarts=False)
    plugin = chosen(host, options, plugin_id)
    given.check(plugin_id, is_raw=plugin.is_raw)
    async with host:
        if plugin.error is not None:
            raise plugin.error
        await host.start(plugin_id)  # a lazy one
        if command is None:
            raise click.UsageError(_no_command(plugin))
        result = await _result(host, plugin_id, command, given, timeout, options.verbosity)
        # Before the plugin is stopped: nobody should wait for that.
        if options.as_json:
            output.write_json(result)
        else:
            output.write(plain(result, ascii_only=output.needs_ascii()) + "\n")


async def _result(
    host: PluginHost, plugin_id: str, command: str, given: Parameters, timeout: float | None, verbosity: int
) -> Any:
    call = host.call_text if given.is_text else host.call
    if not ProgressLine.is_wanted(verbosity):
        return await call(plugin_id, command, given.value, timeout=timeout)
    line = ProgressLine()
    try:
        return await call(plugin_id, command, given.value, timeout=timeout, on_progress=line)
    finally:
        line.clear()


def _no_command(plugin: Plugin) -> str:
    if plugin.is_raw:
        return f"name a method of `{plugin.id}`; it speaks plain msgpack-RPC, so its own manual lists them"
    return f"name a command of `{plugin.id}`: {', '.join(plugin.commands) or 'it has none'}"
