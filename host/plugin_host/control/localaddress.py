"""The address of a host on this machine, its control socket's path, and the way to who listens there."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from plugin_host.channel import over_socket
from plugin_host.errors import HostUnreachable
from plugin_host.localsocket import check_path
from plugin_host.peer import peer_of
from plugin_host.runtimefolder import default_socket

if TYPE_CHECKING:
    from plugin_host.channel import Channel

__all__ = ["reach_local", "socket_path", "unreachable_local"]

_AGAIN_S = 0.01


def socket_path(given: str | os.PathLike[str] | None = None) -> str:
    """The control socket: as given, else PLUGIN_HOST_SOCKET, else the user's own. Raises SocketError."""
    path = os.fspath(given) if given else os.environ.get("PLUGIN_HOST_SOCKET", "")
    return check_path(path) if path else default_socket()


async def reach_local(path: str) -> tuple[Channel, int]:
    """A channel to who listens there, and its pid; the caller's timeout is around it. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        await _connect(sock, path)
        return over_socket(sock), peer_of(sock).pid
    except BaseException:
        sock.close()
        raise


async def _connect(sock: socket.socket, path: str) -> None:
    """Connect. Raises OSError.

    While more clients wait than the host's queue holds, the kernel refuses a connection that does not
    block and remembers nothing of it, so the loop's own `sock_connect` would take it for made.
    """
    while True:
        try:
            sock.connect(path)
            return
        except BlockingIOError:
            await asyncio.sleep(_AGAIN_S)


def unreachable_local(path: str, error: Exception) -> HostUnreachable:
    """Why no host was reached at a path."""
    is_absent = isinstance(error, (FileNotFoundError, ConnectionRefusedError, NotADirectoryError))
    if is_absent:
        reason = "no host listens there: start one with `plugin-host run`, or name its socket with --socket"
    elif isinstance(error, PermissionError):
        reason = "this user may not connect to it"
    elif isinstance(error, TimeoutError):
        reason = "whoever listens there does not answer"
    else:
        reason = str(error)
    return HostUnreachable(f"{path}: {reason}", socket=path, is_absent=is_absent)
