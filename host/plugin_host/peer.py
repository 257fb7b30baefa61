"""Who is at the other end of a socket, by the kernel's word.

Invariant: nothing here is taken from what the other end says.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import SocketError

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

__all__ = ["Peer", "RemotePeer", "groups_of", "peer_of"]

_UCRED = struct.Struct("=iII")
_GID_BYTES = 4
_PYTHON_BYTES = 1024  # the most that `getsockopt` of Python takes: 256 groups
_SO_PEERGROUPS = 59  # as Linux has it; `socket` does not name it


class Peer(NamedTuple):
    """The process that connected, or that listens, as it was then: the number may since be another's."""

    pid: int
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"pid {self.pid}, uid {self.uid}"

    def to_map(self) -> dict[str, Any]:
        """As clients are shown to each other."""
        return {"pid": self.pid, "uid": self.uid, "address": None}


class RemotePeer(NamedTuple):
    """Who connected over a network: an address, and no user. `address` is host:port."""

    address: str

    def __str__(self) -> str:
        return f"from {self.address}"

    def to_map(self) -> dict[str, Any]:
        """As clients are shown to each other."""
        return {"pid": None, "uid": None, "address": self.address}


def peer_of(connection: socket.socket | TransportSocket) -> Peer:
    """The process at the other end of a connected socket. Raises SocketError where that is not told."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        raise SocketError("this system does not tell who connects to a local socket")
    try:
        return Peer(*_UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _UCRED.size)))
    except OSError as error:
        raise SocketError(f"cannot tell who is connected: {error.strerror}") from None


def groups_of(connection: socket.socket) -> frozenset[int]:
    """The supplementary groups of the process at the other end, when it connected. Raises SocketError."""
    try:
        found = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _PYTHON_BYTES)
    except OSError as error:
        if error.errno == errno.ERANGE:
            return _many_groups_of(connection)
        raise SocketError(f"cannot tell the groups of who is connected: {error.strerror}") from None
    return frozenset(gid for (gid,) in struct.iter_unpack("=I", found))


def _many_groups_of(connection: socket.socket) -> frozenset[int]:
    """As `groups_of`, of a process with more than Python asks for; takes longer the first time."""
    import ctypes

    size, ask = ctypes.c_uint32(0), ctypes.CDLL(None, use_errno=True).getsockopt
    where = connection.fileno(), socket.SOL_SOCKET, _SO_PEERGROUPS
    if ask(*where, None, ctypes.byref(size)) and ctypes.get_errno() != errno.ERANGE:
        raise SocketError(f"cannot tell the groups of who is connected: {os.strerror(ctypes.get_errno())}")
    found = (ctypes.c_uint32 * (size.value // _GID_BYTES))()
    if ask(*where, found, ctypes.byref(size)):
        raise SocketError(f"cannot tell the groups of who is connected: {os.strerror(ctypes.get_errno())}")
    return frozenset(found)
