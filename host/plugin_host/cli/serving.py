"""What others reach `plugin-host run` by: its control socket, command listeners, metrics port.

Invariant: a socket that a service manager handed over is used and left in place; any other is made and
removed here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from plugin_host import activation, readiness
from plugin_host.configuration import Configuration, mode_of
from plugin_host.errors import SocketError
from plugin_host.localsocket import LocalSocket
from plugin_host.runtimefolder import default_socket

from .listening import listeners

if TYPE_CHECKING:
    import socket

    from plugin_host.control import ControlServer
    from plugin_host.control.sealedport import SealedPort
    from plugin_host.host import PluginHost
    from plugin_host.metricsport import MetricsPort

    from .option import Options
    from .port import Ports

__all__ = ["serving", "socket_place"]


@asynccontextmanager
async def serving(
    options: Options, host: PluginHost, command_dir: str | None, ports: Ports
) -> AsyncIterator[None]:
    """Whatever others reach `host` by, for as long as the body runs.

    Raises SocketError for a place that is taken or cannot be had, ConfigurationError for a port.
    """
    from plugin_host.control import ControlServer

    config = options.configuration() or Configuration()
    async with AsyncExitStack() as stack:
        place = _handed_over() or socket_place(options, config)
        server = ControlServer(host, place, share=config.control.share)
        await stack.enter_async_context(server)
        if ports.sealed is not None:
            await stack.enter_async_context(_sealed_port(server, ports.sealed, ports.psk_file or ""))
        # Beside the socket there is, which a service manager may have put elsewhere than it is said to be.
        await stack.enter_async_context(listeners(host, options, command_dir, server.path))
        if (port := _metrics_port(host, config, ports.metrics)) is not None:
            await stack.enter_async_context(port)
        stack.callback(readiness.stopping)
        yield


def _sealed_port(server: ControlServer, place: str, psk_file: str) -> SealedPort:
    """Raises ConfigurationError for an address that cannot be used."""
    from plugin_host.control.address import parse_address
    from plugin_host.control.sealedport import SealedPort

    return SealedPort(server, parse_address(place), psk_file)


def _metrics_port(host: PluginHost, config: Configuration, port: int | None) -> MetricsPort | None:
    """The host's metrics over HTTP, if a port is named."""
    port = config.metrics.port if port is None else port
    if port is None:
        return None
    from plugin_host.metricsport import MetricsPort

    return MetricsPort(host, address=config.metrics.address, port=port, loopback_only=False)


def socket_place(options: Options, config: Configuration) -> LocalSocket:
    """Where the control socket is to be; what is given wins over what is configured."""
    control = config.control
    path = options.socket or control.socket or default_socket()
    mode = None if control.mode is None else mode_of(control.mode)
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
