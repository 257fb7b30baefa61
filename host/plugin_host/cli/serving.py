"""The control socket of `plugin-host run`: where it is, who may connect, and who is told that it is there.

Invariant: a socket that a service manager handed over is used and left in place; any other is made and
removed here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from plugin_host import activation, readiness
from plugin_host.configuration import Configuration
from plugin_host.errors import SocketError
from plugin_host.localsocket import LocalSocket

if TYPE_CHECKING:
    import socket

    from plugin_host.control import ControlServer
    from plugin_host.host import PluginHost

    from .option import Options

__all__ = ["serving", "serving_metrics", "socket_place"]


@asynccontextmanager
async def serving(options: Options, host: PluginHost) -> AsyncIterator[ControlServer]:
    """The control server of `host`, for as long as the body runs. Raises SocketError."""
    from plugin_host.control import ControlServer

    config = options.configuration() or Configuration()
    server = ControlServer(
        host, _handed_over() or socket_place(options, config), share=config.control.share
    )
    await server.start()
    try:
        yield server
    finally:
        readiness.stopping()
        await server.close()


@asynccontextmanager
async def serving_metrics(options: Options, host: PluginHost, port: int | None) -> AsyncIterator[None]:
    """The host's metrics over HTTP, if a port is named. Raises ConfigurationError when it is taken."""
    configuration = options.configuration()
    given = None if configuration is None else configuration.metrics
    port = port if port is not None or given is None else given.port
    if port is None:
        yield
        return
    from plugin_host.metricsport import MetricsPort

    address = "127.0.0.1" if given is None else given.address
    async with MetricsPort(host, address=address, port=port, loopback_only=False):
        yield


def socket_place(options: Options, config: Configuration) -> LocalSocket:
    """Where the control socket is to be; what is given wins over what is configured."""
    from plugin_host.runtimefolder import default_socket

    control = config.control
    path = options.socket or control.socket or default_socket()
    mode = int(control.mode, 8) if isinstance(control.mode, str) else control.mode
    return LocalSocket.configured(path, mode, control.group)


def _handed_over() -> socket.socket | None:
    """The socket that a service manager listens on for this process. Raises SocketError."""
    found = activation.inherited()
    named = [one for one in found if one.name in ("", "control", "connection", "unknown")] or found
    for other in found:
        if other is not named[0]:
            other.socket.close()
    if len(named) > 1:
        named[0].socket.close()
        text = f"{len(named)} sockets were handed over (LISTEN_FDS); expected one, the control socket"
        raise SocketError(text)
    return named[0].socket if named else None
