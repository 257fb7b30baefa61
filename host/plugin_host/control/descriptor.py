"""The client's end of raw descriptors: a token in, descriptors out. Blocks, and needs no event loop.

Invariant: what is returned is exactly what was promised; whatever else comes is closed.
"""

from __future__ import annotations

import array
import os
import socket
from typing import NamedTuple

from plugin_host.errors import CallFailed, HostUnreachable, RemoteProtocolError

__all__ = ["IoTicket", "open_descriptors"]

_REASON_BYTES = 4096
_ROOM = 16  # for more descriptors than are ever sent, so that too many are seen


class IoTicket(NamedTuple):
    """A promise of descriptors: show `token` at `socket` within `expires_s` seconds, once."""

    token: str
    socket: str
    expires_s: float


def open_descriptors(
    path: str | os.PathLike[str], token: str, *, count: int | None = None, timeout: float = 15.0
) -> list[int]:
    """The descriptors that a token is good for, in the order in which they were asked for.

    They block, are not inherited and are the caller's to close. `path` is that of the io socket; `count`
    is how many are expected. Raises CallFailed with the host's reason, HostUnreachable, and
    RemoteProtocolError for an answer that is none; no descriptor is left open then.
    """
    where = os.fspath(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(where)
            sock.sendall(token.encode() + b"\n")
            return _receive(sock, count)
        except OSError as error:
            is_late = isinstance(error, TimeoutError)
            reason = "it does not answer" if is_late else error.strerror or str(error)
            raise HostUnreachable(f"{where}: {reason}", socket=where) from None


def _receive(sock: socket.socket, count: int | None) -> list[int]:
    """Raises OSError too."""
    size = array.array("i").itemsize
    tags, ancillary, flags, _ = sock.recvmsg(
        _ROOM, socket.CMSG_SPACE(_ROOM * size), socket.MSG_CMSG_CLOEXEC
    )
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % size])
    problem = _problem(tags, len(fds), flags, count)
    if not problem:
        return fds.tolist()
    for fd in fds:
        os.close(fd)
    if tags.startswith(b"E"):
        raise CallFailed(_reason(sock, tags[1:]), name="host.io_refused")
    raise RemoteProtocolError(f"descriptors were promised: {problem}")


def _problem(tags: bytes, fds: int, flags: int, count: int | None) -> str:
    """What is wrong with a message of so many descriptors."""
    if not tags:
        return "the host closed the connection without a word"
    if tags.strip(b"F"):
        return f"{tags!r} came in the place of `F`"
    if flags & socket.MSG_CTRUNC:
        return "more came than there was room for, in this process or in the message"
    if fds != len(tags):
        return f"{fds} descriptors came with {len(tags)} tags"
    if count is not None and fds != count:
        return f"{fds} came instead of {count}"
    return ""


def _reason(sock: socket.socket, data: bytes) -> str:
    try:
        while len(data) < _REASON_BYTES and (more := sock.recv(_REASON_BYTES)):
            data += more
    except OSError:
        pass  # what came is all there is
    return data.decode("utf-8", "replace")
