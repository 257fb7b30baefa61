"""`plugin-host call`: call a command of a plugin and show the result.

The plugin is one of the running host, or is started for this and stopped again.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import click

from plugin_host.notation import plain

from . import argument, output
from .option import Options, host_options, reach_options
from .progress import ProgressLine
from .wordcompletion import command_words, plugin_words

if TYPE_CHECKING:
    from plugin_host.control import ControlClient

    from .argument import Parameters

__all__ = ["command", "seconds"]

_LONGEST_S = 365 * 24 * 3600.0

_HELP = """Call COMMAND of PLUGIN and print its result.

The plugin is that of the running host (plugin-host run). Where none runs, and with --plugin-dir, --only,
--no-plugin or --config, just that plugin is started, and stopped afterwards. Without COMMAND it says which
commands there are.

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
  3    the plugin was not found, may not run, or did not start; no host at --socket
  4    the plugin or its host died in the call
  124  no answer within --timeout
  130  interrupted by Ctrl-C

\b
Examples:
  plugin-host call system disk_usage path=/
  plugin-host call system processes sort=memory limit=5 --json | jq '.processes[0]'
  plugin-host call system children '{"pid": 1, "recursive": false}'
  plugin-host call neovim nvim_eval '["6*7"]'
"""


def seconds(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """The value of `--timeout`, checked."""
    if value is not None and not 0 < value <= _LONGEST_S:
        raise click.BadParameter(f"expected seconds above 0, at most {_LONGEST_S:.0f}, a year")
    return value


@click.command("call", help=_HELP)
@click.argument("plugin", shell_complete=plugin_words)
@click.argument("command", required=False, shell_complete=command_words)
@click.argument("parameters", nargs=-1)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=float,
    callback=seconds,
    help="Give the call up after this time; starting the plugin is not counted.",
)
@host_options
@reach_options
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
    from .contact import running_host

    client = await running_host(options, "call")
    if client is None:
        await _call_here(options, plugin_id, command, given, timeout)
    else:
        async with client:
            await _call_there(client, options, plugin_id, command, given, timeout)


async def _call_here(
    options: Options, plugin_id: str, command: str | None, given: Parameters, timeout: float | None
) -> None:
    """Of a plugin that is started for this."""
    from .lookup import chosen

    host = options.host(only=[plugin_id], restarts=False)
    plugin = chosen(host, options, plugin_id)
    given.check(plugin_id, is_raw=plugin.is_raw)
    async with host:
        if plugin.error is not None:
            raise plugin.error
        await host.start(plugin_id)  # a lazy one
        if command is None:
            raise click.UsageError(_no_command(plugin_id, plugin.commands, is_raw=plugin.is_raw))
        call = host.call_text if given.is_text else host.call
        result = await _result(call, plugin_id, command, given, timeout, options.verbosity)
        # Before the plugin is stopped: nobody should wait for that.
        _show(options, result)


async def _call_there(
    client: ControlClient,
    options: Options,
    plugin_id: str,
    command: str | None,
    given: Parameters,
    timeout: float | None,
) -> None:
    """Of the running host."""
    from plugin_host.errors import PluginNotFound

    from .contact import asked
    from .pluginlist import find_plugin

    try:
        plugin = await find_plugin(client, plugin_id)
    except PluginNotFound as error:
        raise asked(error, client) from None
    given.check(plugin_id, is_raw=plugin["raw"])
    if plugin["state"] == "idle":  # a lazy one; the time for that is not the call's
        plugin = await client.start(plugin_id)
    if command is None:
        raise click.UsageError(_no_command(plugin_id, plugin["commands"], is_raw=plugin["raw"]))
    call = functools.partial(client.call, text=True) if given.is_text else client.call
    _show(options, await _result(call, plugin_id, command, given, timeout, options.verbosity))


async def _result(
    call: Callable[..., Awaitable[Any]],
    plugin_id: str,
    command: str,
    given: Parameters,
    timeout: float | None,
    verbosity: int,
) -> Any:
    if not ProgressLine.is_wanted(verbosity):
        return await call(plugin_id, command, given.value, timeout=timeout)
    line = ProgressLine()
    try:
        return await call(plugin_id, command, given.value, timeout=timeout, on_progress=line)
    finally:
        line.clear()


def _show(options: Options, result: Any) -> None:
    if options.as_json:
        output.write_json(result)
    else:
        output.write(plain(result, ascii_only=output.needs_ascii()) + "\n")


def _no_command(plugin_id: str, commands: list[str], *, is_raw: bool) -> str:
    if is_raw:
        return f"name a method of `{plugin_id}`; it speaks plain msgpack-RPC, so its own manual lists them"
    return f"name a command of `{plugin_id}`: {', '.join(commands) or 'it has none'}"
