"""Listening sockets that a service manager made before this process was started (socket activation).

Owns the reading of LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES. Invariants: the variables are gone
afterwards, so that nobody whom this process starts believes that they are meant; a descriptor is taken
only when it is a listening local stream socket, and no child inherits it.
"""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING, NamedTuple

from .errors import SocketError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["Inherited", "inherited"]

_FIRST = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
_MOST = 1024


class Inherited(NamedTuple):
    """A listening socket, non-blocking, and the name it has in its unit (`FileDescriptorName=`)."""

    name: str
    socket: socket.socket


def inherited(
    environ: MutableMapping[str, str] | None = None, pid: int | None = None, *, first: int = _FIRST
) -> list[Inherited]:
    """The sockets that are meant for this process, in order; empty when there are none.

    `first` is the lowest descriptor. Raises SocketError for one that is no listening local stream socket,
    and for a number of descriptors that is none; nothing is taken then.
    """
    environ = os.environ if environ is None else environ
    said = [environ.pop(name, "") for name in _VARIABLES]
    meant_for, count, names = said[:3]
    if meant_for != str(os.getpid() if pid is None else pid) or not count:
        return []
    if not (count.isascii() and count.isdigit() and int(count) <= _MOST):
        raise SocketError(f"LISTEN_FDS: expected a number of descriptors, found {count!r}")
    fds = range(first, first + int(count))
    for fd in fds:
        _check(fd)
    names_of = names.split(":") if names else []
    names_of += [""] * (len(fds) - len(names_of))
    return [Inherited(name, _taken(fd)) for fd, name in zip(fds, names_of, strict=False)]


def _taken(fd: int) -> socket.socket:
    os.set_inheritable(fd, False)
    taken = socket.socket(fileno=fd)
    taken.setblocking(False)
    return taken


def _check(fd: int) -> None:
    try:
        is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        raise SocketError(f"descriptor {fd}, which LISTEN_FDS counts, is not open") from None
    if not is_socket:
        raise _misfit(fd, "something else")
    one = socket.socket(fileno=fd)
    try:
        if one.family != socket.AF_UNIX or one.type != socket.SOCK_STREAM:
            raise _misfit(fd, "another kind of socket (ListenStream= takes a path)")
        if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise _misfit(fd, "one that does not listen (Accept=no is needed)")
    finally:
        one.detach()


def _misfit(fd: int, what: str) -> SocketError:
    text = f"descriptor {fd}, which LISTEN_FDS counts: expected a listening local stream socket"
    return SocketError(f"{text}, found {what}")
