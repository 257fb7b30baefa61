"""Which command listeners `run` makes, and where `send` looks for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from plugin_host.host import PluginHost
    from plugin_host.listener.commandlisteners import CommandListeners

    from .option import Options

__all__ = ["command_dir_option", "listener_folder", "listener_names", "listeners"]


def command_dir_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--command-dir`; the function gets `command_dir`."""
    return click.option(
        "command_dir",
        "--command-dir",
        metavar="DIR",
        help="The folder of the command listeners. Else `dir` under [commands] in the configuration, else"
        " beside the control socket.",
    )(function)


def listener_folder(options: Options, command_dir: str | None, socket: str = "") -> str:
    """Absolute. `socket` is the path of the control socket, where it is known already.

    Raises ConfigurationError and SocketError.
    """
    from plugin_host.configuration import Configuration
    from plugin_host.listener.folder import commands_folder
    from plugin_host.runtimefolder import default_socket

    if command_dir is not None:
        return os.path.abspath(command_dir)
    configuration = options.configuration() or Configuration()
    if configuration.commands.dir is not None:
        return configuration.commands.dir
    socket = socket or options.socket or configuration.control.socket or default_socket()
    return commands_folder(os.path.abspath(socket))


def listener_names(folder: str) -> list[str] | None:
    """Those that are there, sorted; None for a folder that this user may not list, only pass through."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except PermissionError:
        return None
    except OSError:
        return []


def listeners(
    host: PluginHost, options: Options, command_dir: str | None, socket: str = ""
) -> CommandListeners:
    """Those of a host that is being started; entering starts them. Raises as `listener_folder`."""
    from plugin_host.configuration import Configuration, mode_of
    from plugin_host.listener.commandlisteners import CommandListeners

    configuration = options.configuration() or Configuration()
    said = configuration.commands
    return CommandListeners(
        host,
        listener_folder(options, command_dir, socket),
        mode=None if said.mode is None else mode_of(said.mode),
        group=said.group,
        configuration=configuration,
        debug=said.debug,
    )
