"""Which descriptor carries the bytes of an author's file, and what must be taken care of before it is used.

Only exact types of the standard library are looked into: a subclass, or a wrapper with a `fileno`, may
give other bytes than its descriptor holds (GzipFile, TLS).
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import select
import stat
import sys
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import excerpt

from .executable import refusal

if TYPE_CHECKING:
    from typing import Any

    from plugin_host_sdk.errors import TerminalError

__all__ = [
    "binary",
    "buffered",
    "check_mode",
    "descriptor",
    "flushed",
    "is_pollable",
    "no_file",
    "unblock",
]


def binary(obj: Any, verb: str) -> Any:
    """What is under a text file. Raises TerminalError for what is no file at all, or has only text."""
    if getattr(obj, "closed", False) is True:
        raise _closed(excerpt(obj))
    if isinstance(obj, io.TextIOBase):
        under = getattr(obj, "buffer", None)
        if under is None:
            raise refusal(
                f"{type(obj).__name__} holds text, and a session carries bytes: open it in binary mode",
                "bad_file",
                errno.EINVAL,
                "",
                "text",
            )
        try:
            obj.flush()
        except OSError:
            pass  # nobody reads, as the next write will find out
        return under
    if isinstance(obj, (bool, str, bytes, bytearray, memoryview)):
        raise no_file(obj, verb)
    return obj


def descriptor(obj: Any) -> int:
    """The descriptor that carries exactly the bytes of `obj`; -1 when only its methods know them."""
    kind = type(obj)
    if kind is int:
        if obj < 0:
            raise no_file(obj, "use")
        return int(obj)
    if kind in (io.BufferedReader, io.BufferedWriter, io.BufferedRandom):
        return descriptor(obj.raw)
    sock = _socket_of(obj)
    if kind is not io.FileIO and sock is None:
        return -1
    fd = int(obj.fileno())
    if fd < 0:
        raise _closed(excerpt(obj))
    return fd


def _socket_of(obj: Any) -> Any:
    """The plain socket that `obj` is, or is a raw file of."""
    sockets = sys.modules.get("socket")
    if sockets is None:
        return None
    sock = getattr(obj, "_sock", None) if type(obj) is sockets.SocketIO else obj
    return sock if type(sock) is sockets.socket else None


def check_mode(obj: Any, fd: int, wrong: int, doing: str) -> None:
    """Raises TerminalError when `fd` is not open, or only in the mode `wrong`."""
    try:
        mode = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        raise _closed(f"descriptor {fd}") from None
    if mode == wrong:
        raise refusal(
            f"{excerpt(obj)} is not open for {doing}: give the other end",
            "bad_file",
            errno.EBADF,
            "",
            "mode",
        )


def is_pollable(fd: int) -> bool:
    """Whether `fd` can be waited for. Regular files and some devices cannot."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return True
    if not hasattr(select, "epoll"):
        return os.isatty(fd)
    with select.epoll() as probe:
        try:
            probe.register(fd, 0)
        except OSError:
            return False
    return True


def unblock(obj: Any, fd: int) -> None:
    """Let nothing wait for `fd`, the descriptor of `obj`, and no child inherit it."""
    os.set_blocking(fd, False)
    os.set_inheritable(fd, False)
    sock = _socket_of(getattr(obj, "raw", obj))
    if sock is not None:
        sock.setblocking(False)  # a timeout would wait outside the kernel


def buffered(obj: Any) -> bytes:
    """What `obj` has read from its descriptor and not given to anybody."""
    if not isinstance(obj, (io.BufferedReader, io.BufferedRandom)):
        return b""
    try:
        return obj.peek()  # an empty buffer reads once, and keeps what it got for us
    except (OSError, ValueError):
        return b""


def flushed(obj: Any, fd: int) -> bool:
    """Make `fd` ready for writing; False when `obj` holds bytes that must go first and find no room."""
    unblock(obj, fd)
    if isinstance(obj, (io.BufferedWriter, io.BufferedRandom)):
        try:
            obj.flush()
        except BlockingIOError:
            os.set_blocking(fd, True)
            return False
        except OSError:
            pass  # nobody reads, as the next write will find out
    return True


def _closed(what: str) -> TerminalError:
    return refusal(f"{what} is closed already: give it open", "bad_file", errno.EBADF, "", "closed")


def no_file(obj: Any, verb: str) -> TerminalError:
    """`obj` cannot be used as a file."""
    return refusal(
        f"{excerpt(obj)} is no file to {verb}: give a binary file, a descriptor, a socket,"
        " an object with read(size) or write(data), or None",
        "bad_file",
        errno.EINVAL,
        "",
    )
