"""The wire to one child: the host's end of it, and the descriptors the child is given.

Owns descriptors and nothing else: no buffer, no protocol, no loop. Whoever registered a descriptor with
a loop takes it off again before it is closed here. Invariant: every descriptor is close-on-exec, the
host's ends do not block, the child's ends do, and neither setting leaks to the other side.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import termios
from typing import TYPE_CHECKING, Protocol

from . import fork

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["Channel", "ChildEnds", "open_pipes", "open_socketpair", "over_socket", "unread"]


# The most that Linux grants, which is twice of what a socket holds by default: that are three frames, and a
# plugin that puts out much would sleep after each three until the host has read them.
_SEND_BYTES = 208 * 1024


class Channel(Protocol):
    """The host's end. `read_fd` and `write_fd` are one number on a socket, and -1 once closed."""

    read_fd: int
    write_fd: int

    def recv_into(self, buffer: WriteableBuffer, /) -> int:
        """Read what is there now and return its size in bytes; 0 is end of file.

        Raises BlockingIOError when there is nothing yet, and ConnectionResetError, once, for the end of
        file of a child that died with requests unread.
        """
        ...

    def send(self, data: ReadableBuffer, /) -> int:
        """Write what fits now and return its size in bytes.

        Raises BlockingIOError when nothing fits, BrokenPipeError or ConnectionResetError when nobody
        will read it.
        """
        ...

    def untaken(self) -> int:
        """What `send` took and the peer has not; it falls when the peer reads. 0 once closed.

        The kernel counts in buffers of its own size, so only a change of it means something.
        """
        ...

    def close_write(self) -> None:
        """Let the child read end of file. A second call does nothing."""
        ...

    def close(self) -> None:
        """Give both descriptors back. A second call does nothing."""
        ...


class ChildEnds:
    """The descriptors that become 0 and 1 of the child; the host closes its copies after the spawn."""

    __slots__ = ("_close", "stdin", "stdout")

    def __init__(self, stdin: int, stdout: int, close: Callable[[], None]) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self._close = close

    def close(self) -> None:
        """Close the host's copies. A second call does nothing."""
        if self.stdin >= 0:
            self.stdin = self.stdout = -1
            self._close()


def open_socketpair() -> tuple[Channel, ChildEnds]:
    """One AF_UNIX stream socket for both directions. Raises OSError."""
    host, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    host.setblocking(False)
    child.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
    return _SocketChannel(host), ChildEnds(child.fileno(), child.fileno(), child.close)


def over_socket(sock: socket.socket) -> Channel:
    """The channel over a connected stream socket, which it owns from now on."""
    sock.setblocking(False)
    return _SocketChannel(sock)


def open_pipes() -> tuple[Channel, ChildEnds]:
    """Two pipes, for programs that open `/dev/stdout` or close one direction. Raises OSError."""
    stdin, write_fd = os.pipe()
    try:
        read_fd, stdout = os.pipe()
    except OSError:
        os.close(stdin)
        os.close(write_fd)
        raise
    os.set_blocking(read_fd, False)
    os.set_blocking(write_fd, False)

    def close() -> None:
        os.close(stdin)
        os.close(stdout)

    return _PipeChannel(read_fd, write_fd), ChildEnds(stdin, stdout, close)


def unread(fd: int, request: int = termios.TIOCOUTQ) -> int:
    """What the kernel holds of what was written to a socket; of a pipe with `FIONREAD`. 0 if unknown."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, request, b"\0" * 4))[0])
    except (OSError, ValueError):  # it is closed, or of a kind that cannot say
        return 0


class _Own:
    """A forked child must not read or write what is its parent's."""

    __slots__ = ("__weakref__", "read_fd", "write_fd")

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd = read_fd
        self.write_fd = write_fd
        fork.watch(self)

    def disown(self) -> None:
        fork.lead_nowhere(self.read_fd, self.write_fd)


class _SocketChannel(_Own):
    __slots__ = ("_socket", "recv_into", "send")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.recv_into = sock.recv_into  # the socket's own: two calls less for every message
        self.send = sock.send
        super().__init__(sock.fileno(), sock.fileno())

    def untaken(self) -> int:
        return unread(self.write_fd)

    def close_write(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed, or the child is gone: it cannot read any more either way

    def close(self) -> None:
        self.read_fd = self.write_fd = -1
        self._socket.close()

    def __repr__(self) -> str:
        return f"<socket channel fd={self.read_fd}>"


class _PipeChannel(_Own):
    __slots__ = ()

    def recv_into(self, buffer: WriteableBuffer, /) -> int:
        return os.readv(self.read_fd, (buffer,))

    def send(self, data: ReadableBuffer, /) -> int:
        try:
            return os.write(self.write_fd, data)
        except OSError:
            if self.write_fd < 0:  # what a socket says after its write side was shut
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
            raise

    def untaken(self) -> int:
        return unread(self.write_fd, termios.FIONREAD)

    def close_write(self) -> None:
        if self.write_fd >= 0:
            fd, self.write_fd = self.write_fd, -1
            os.close(fd)

    def close(self) -> None:
        self.close_write()
        if self.read_fd >= 0:
            fd, self.read_fd = self.read_fd, -1
            os.close(fd)

    def __repr__(self) -> str:
        return f"<pipe channel read_fd={self.read_fd} write_fd={self.write_fd}>"
