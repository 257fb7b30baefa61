"""What TCP connections of a control plane have in common, and the client's way to a sealed channel."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

from plugin_host.seal.agreement import agree
from plugin_host.seal.channel import RECORD_BYTES, SealedChannel
from plugin_host.seal.codec import require_cipher
from plugin_host.seal.connection import Role, SealedConnection
from plugin_host.seal.keyfile import read_key
from plugin_host.seal.record import NONCE_BYTES

if TYPE_CHECKING:
    from .address import Address

__all__ = ["reach", "resolved", "tune"]

_READ_BYTES = 64 * 1024
# A machine that has gone without a word is noticed after about two minutes.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


async def resolved(address: Address, *, listens: bool = False) -> tuple[int, Any]:
    """The family and the socket's name for an address: the first of the name's. Raises OSError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host,
            address.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE if listens else socket.AI_ADDRCONFIG,
        )
    except UnicodeError:  # letters that no name has
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    family, _, _, _, place = found[0]
    return family, place


def tune(sock: socket.socket) -> None:
    """Small messages go at once, and a peer that has vanished is noticed."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


async def reach(address: Address, key_file: str | os.PathLike[str]) -> SealedChannel:
    """A sealed channel to the host at `address`, agreed; the caller's timeout is around it.

    Raises KeyFileError, ConfigurationError, SealError and OSError.
    """
    require_cipher()
    secret = await asyncio.to_thread(read_key, key_file)
    loop = asyncio.get_running_loop()

    async def secrets() -> tuple[bytes]:
        return (secret,)

    family, place = await resolved(address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        tune(sock)
        await loop.sock_connect(sock, place)
        connection = SealedConnection(Role.CLIENT, os.urandom(NONCE_BYTES), limit=RECORD_BYTES)
        agreed = await agree(
            connection,
            secrets,
            lambda: loop.sock_recv(sock, _READ_BYTES),
            lambda data: loop.sock_sendall(sock, data),
        )
        return SealedChannel(sock, connection, agreed.early)
    except BaseException:
        sock.close()
        raise
