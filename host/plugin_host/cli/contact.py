"""How a command reaches the host that runs: at which socket, as whom, and what it means that none answers.

Invariant: nothing is started here, and nobody is asked but the one host that was named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from plugin_host.errors import HostUnreachable, PluginNotFound, SocketError

if TYPE_CHECKING:
    from plugin_host.control import ControlClient

    from .option import Options

__all__ = ["TOKEN", "asked", "contact", "is_named", "running_host", "visit"]

_T = TypeVar("_T")

_ANSWER_S = 5.0

TOKEN = "PLUGIN_HOST_TOKEN"
"""The variable by which a command says which client it was before."""
_TOKEN_FORM = re.compile(r"[A-Za-z0-9_-]{16,128}")


def visit(options: Options, name: str, body: Callable[[ControlClient], Awaitable[_T]]) -> _T:
    """What `body` makes of the running host. Raises as `contact`, and Interrupted."""
    from . import interruption

    async def visiting() -> _T:
        async with await contact(options, name) as client:
            return await body(client)

    return interruption.run(visiting())


async def contact(options: Options, name: str, *, timeout: float = _ANSWER_S) -> ControlClient:
    """A client of the running host, for the command `name`; `timeout` in seconds.

    Raises HostUnreachable, ConfigurationError, and SocketError for a path that cannot be one.
    """
    from plugin_host.control import connect

    path = _path(options)
    who = f"plugin-host {name}"
    return await connect(path, name=who, token=_token(), timeout=timeout, psk_file=options.psk_file)


async def running_host(options: Options, name: str) -> ControlClient | None:
    """A client of the host that `call` and `exec` are to use; None when they need one of their own.

    That is so when the options describe one, and when nobody listens, unless --socket says who should.
    Raises as `contact` for a host that is there and does not answer.
    """
    if options.wants_own_host:
        return None
    try:
        return await contact(options, name)
    except HostUnreachable as error:
        if options.names_socket or options.connect or not error.is_absent:
            raise
    except SocketError:
        # The folder for sockets cannot be trusted: no host of this user would be in it.
        if options.socket is not None:
            raise
    return None


def asked(error: PluginNotFound, client: ControlClient) -> PluginNotFound:
    """The same error, and which host said so."""
    lines = [
        str(error),
        f"asked: the host that runs at {client.path} (pid {client.pid})",
        "hint: --plugin-dir, --only or --config makes a host of this command's own",
    ]
    return PluginNotFound("\n  ".join(lines), plugin=error.plugin, near=error.near)


def is_named() -> bool:
    """Whether this command is a client that another has been or can be."""
    return _token() is not None


def _path(options: Options) -> str:
    from plugin_host.runtimefolder import default_socket

    if options.connect:
        return f"tcp://{options.connect.removeprefix('tcp://')}"
    if options.socket:
        return options.socket
    configuration = options.configuration()
    return (configuration.control.socket if configuration else None) or default_socket()


def _token() -> str | None:
    """Who this client was before, if it says so."""
    token = os.environ.get(TOKEN) or None
    if token is not None and not _TOKEN_FORM.fullmatch(token):
        raise click.UsageError(f"{TOKEN}: expected 16 to 128 letters, digits, - and _")
    return token
