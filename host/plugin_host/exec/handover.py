"""Where a plugin sends the descriptor of a terminal: a socket of one use, and a token that opens it.

An abstract socket: it leaves nothing in the file system and needs no folder that both may enter. Its name
stands in /proc/net/unix, so whoever comes without the token is dropped. Invariant: what is returned is its
owner's end of a terminal, which does not block and is not inherited; whatever else came is closed.
"""

from __future__ import annotations

import array
import fcntl
import hmac
import os
import secrets
import socket
from typing import TYPE_CHECKING

from plugin_host.errors import TerminalError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["HandoverSocket"]

_WAITING = 16
_TOKEN_BYTES = 128
_ROOM = 4  # for more descriptors than are ever sent, so that too many are seen
_GET_NUMBER = 0x80045430  # TIOCGPTN, which only the owner's end of a terminal answers


class HandoverSocket:
    """Listens until the end of its `with`; `named` is what the plugin is told. Raises TerminalError."""

    def __init__(self) -> None:
        self._token = secrets.token_hex(16)
        name = f"plugin-host.{os.getpid()}.{secrets.token_hex(8)}"
        self.named = {"socket": name, "token": self._token}
        try:
            self._socket = _listening(f"\0{name}")
        except OSError as error:
            raise TerminalError(
                f"there can be no socket to take a terminal at: {error.strerror}",
                data={"errno": error.errno},
            ) from None

    def __enter__(self) -> HandoverSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def take(self, session: str) -> int:
        """What the plugin sent before it said that the session is open; the caller's to close.

        Does not wait. Raises TerminalError when it sent nothing, or no terminal.
        """
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                raise TerminalError(
                    "its plugin did not pass the terminal on, or this process can take no descriptor more",
                    session=session,
                ) from None
            with connection:
                fd = self._received(connection)
            if fd is not None:
                return fd

    def _received(self, connection: socket.socket) -> int | None:
        connection.setblocking(False)
        fds = array.array("i")
        try:
            token, ancillary, flags, _ = connection.recvmsg(
                _TOKEN_BYTES, socket.CMSG_SPACE(_ROOM * fds.itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return None
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        is_right = hmac.compare_digest(token, self._token.encode())
        if is_right and len(fds) == 1 and not flags & socket.MSG_CTRUNC and _is_owners_end(fds[0]):
            os.set_blocking(fds[0], False)
            return fds[0]
        for fd in fds:
            os.close(fd)
        return None


def _listening(name: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        listening.bind(name)
        listening.listen(_WAITING)
    except BaseException:
        listening.close()
        raise
    return listening


def _is_owners_end(fd: int) -> bool:
    try:
        fcntl.ioctl(fd, _GET_NUMBER, bytes(4))
    except OSError:
        return False
    return True
