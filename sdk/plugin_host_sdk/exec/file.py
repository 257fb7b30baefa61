"""The files that authors return, as descriptors that can be waited for.

Pipes, sockets and terminals are used directly: non-blocking, beginning with what already lies in the
buffer of the Python object. Everything else (regular files, objects with methods) is pumped by a thread.

Ownership moves to the end: it keeps the object, and its `close` closes it. Only exact types of the standard library are looked into: a subclass, or a wrapper with a
`fileno`, may give other bytes than its descriptor holds (GzipFile, TLS).
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import select
import stat
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

from plugin_host_sdk.errors import TerminalError, excerpt

from .executable import refusal
from .process import describe_code, describe_signal
from .pump import ReadPump, WritePump, close_quietly

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .process import Status

__all__ = ["PopenEnds", "ReadEnd", "WriteEnd", "adapt_files", "adapt_popen", "adapt_reader", "adapt_writer"]

_AT_ONCE_BYTES = 64 * 1024  # of a BytesIO; more goes through a pipe, so that nobody has to hold it


class ReadEnd:
    """Bytes of an author. `buffered` comes first, then what `fd` gives: non-blocking, pollable, ours.

    A terminal's end looks like EIO. At the end `error` is what the author's `read` raised, or None.
    """

    __slots__ = ("_close", "_lock", "_pump", "buffered", "fd")

    def __init__(
        self, fd: int, close: Callable[[], None], buffered: bytes = b"", pump: ReadPump | None = None
    ) -> None:
        self.fd = fd
        self.buffered = buffered
        self._close: Callable[[], None] | None = close
        self._pump = pump
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} fd={self.fd}>"

    @property
    def error(self) -> BaseException | None:
        return self._pump.error if self._pump is not None else None

    def close(self) -> None:
        """Close it. Idempotent, never waits; of a pump that is still reading the end is not awaited."""
        with self._lock:
            close, self._close = self._close, None
            self.fd = -1
        if close is not None:
            close()


class WriteEnd:
    """Where an author takes bytes. `fd` is non-blocking, pollable, ours; -1 when input is not wanted.

    Broken (EPIPE) when the author takes no more; `error` is then what the author's `write` raised, or None.
    """

    __slots__ = ("_close", "_lock", "_pump", "fd")

    def __init__(self, fd: int, close: Callable[[], None], pump: WritePump | None = None) -> None:
        self.fd = fd
        self._close: Callable[[], None] | None = close
        self._pump = pump
        self._lock = threading.Lock()

    __repr__ = ReadEnd.__repr__

    @property
    def error(self) -> BaseException | None:
        return self._pump.error if self._pump is not None else None

    def close(self) -> None:
        """End the input: what was written still arrives. Idempotent, never waits."""
        with self._lock:
            close, self._close = self._close, None
            self.fd = -1
        if close is not None:
            close()


class PopenEnds(NamedTuple):
    """A Popen. `pid` is None when it had already ended and been reaped; `status` is None while it runs.

    The status is taken by the Popen itself, so that its author can ask it too.
    """

    stdin: WriteEnd
    stdout: ReadEnd
    stderr: ReadEnd
    pid: int | None
    status: Callable[[], Status | None]


def adapt_reader(obj: Any, used: set[int] | None = None) -> ReadEnd:
    """Read from `obj`: a binary file, a descriptor, a socket, any object with `read(size)`; None is empty.

    `used` are descriptors that are waited for already; its own is added. Raises TerminalError.
    """
    if obj is None:
        return _empty()
    kept, obj = obj, _binary(obj, "read")
    if type(obj) is io.BytesIO and obj.getbuffer().nbytes - obj.tell() <= _AT_ONCE_BYTES:
        return _empty(obj.read())
    fd = _descriptor(obj)
    if fd >= 0:
        _check_mode(obj, fd, os.O_WRONLY, "reading")
        if _is_pollable(fd):
            _unblock(obj, fd)
            buffered = _buffered(obj)
            fd, close = _owned(kept, fd, used)
            return ReadEnd(fd, close, buffered)
        if type(obj) is int:
            kept = obj = open(fd, "rb", buffering=0)  # noqa: SIM115  # closed at the end
    read = getattr(obj, "read1", None) or getattr(obj, "read", None)
    if not callable(read):
        raise _no_file(obj, "read")
    try:
        pump = ReadPump(kept, read)
    except (OSError, RuntimeError) as error:
        raise _no_pump(error) from None
    return ReadEnd(pump.fd, pump.close, pump=pump)


def adapt_writer(obj: Any, used: set[int] | None = None) -> WriteEnd:
    """Write to `obj`: a binary file, a descriptor, a socket, any object with `write(data)`; or None.

    `used` are descriptors that are waited for already; its own is added. Raises TerminalError.
    """
    if obj is None:
        return WriteEnd(-1, _nothing)
    kept, obj = obj, _binary(obj, "write")
    fd = _descriptor(obj)
    if fd >= 0:
        _check_mode(obj, fd, os.O_RDONLY, "writing")
        if _is_pollable(fd) and _flushed(obj, fd):
            fd, close = _owned(kept, fd, used)
            is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
            return WriteEnd(fd, (lambda: _half_close(fd, close)) if is_socket else close)
        if type(obj) is int:
            kept = obj = open(fd, "wb", buffering=0)  # noqa: SIM115  # closed at the end
    write = getattr(obj, "write", None)
    if not callable(write):
        raise _no_file(obj, "write")
    try:
        pump = WritePump(kept, write)
    except (OSError, RuntimeError) as error:
        raise _no_pump(error) from None
    return WriteEnd(pump.fd, pump.close, pump=pump)


def adapt_files(stdin: Any, stdout: Any, stderr: Any) -> tuple[WriteEnd, ReadEnd, ReadEnd]:
    """All three of a session. They may share a descriptor, like the two directions of one socket.

    Raises TerminalError, and has closed everything then.
    """
    used: set[int] = set()
    ends: list[ReadEnd | WriteEnd] = []
    try:
        out = adapt_reader(stdout, used)
        ends.append(out)
        err = adapt_reader(stderr, used)
        ends.append(err)
        return adapt_writer(stdin, used), out, err
    except BaseException as error:
        for end in ends:
            end.close()
        is_closed = isinstance(error, TerminalError) and error.data.get("detail") == "closed"
        # A number that is not open may be somebody else's in a moment.
        for given in (stdout, stderr, stdin)[len(ends) + is_closed :]:
            if type(given) is not int:
                close_quietly(given)
            elif given not in used:
                used.add(given)
                _close_fd(given)
        raise


def adapt_popen(popen: Any) -> PopenEnds:
    """A `subprocess.Popen`, or what behaves like one. Streams it lacks are empty. Raises TerminalError."""
    stdin, stdout, stderr = adapt_files(popen.stdin, popen.stdout, popen.stderr)
    has_ended = popen.poll() is not None

    def status() -> Status | None:
        code = popen.poll()
        if code is None:
            return None
        return describe_signal(-code) if code < 0 else describe_code(code)

    return PopenEnds(stdin, stdout, stderr, None if has_ended else popen.pid, status)


def _binary(obj: Any, verb: str) -> Any:
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
        raise _no_file(obj, verb)
    return obj


def _descriptor(obj: Any) -> int:
    """The descriptor that carries exactly the bytes of `obj`; -1 when only its methods know them."""
    kind = type(obj)
    if kind is int:
        if obj < 0:
            raise _no_file(obj, "use")
        return int(obj)
    if kind in (io.BufferedReader, io.BufferedWriter, io.BufferedRandom):
        return _descriptor(obj.raw)
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


def _check_mode(obj: Any, fd: int, wrong: int, doing: str) -> None:
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


def _is_pollable(fd: int) -> bool:
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


def _unblock(obj: Any, fd: int) -> None:
    os.set_blocking(fd, False)
    sock = _socket_of(getattr(obj, "raw", obj))
    if sock is not None:
        sock.setblocking(False)  # a timeout would wait outside the kernel


def _buffered(obj: Any) -> bytes:
    """What `obj` has read from its descriptor and not given to anybody."""
    if not isinstance(obj, (io.BufferedReader, io.BufferedRandom)):
        return b""
    try:
        return obj.peek()  # an empty buffer reads once, and keeps what it got for us
    except (OSError, ValueError):
        return b""


def _flushed(obj: Any, fd: int) -> bool:
    """Make `fd` ready for writing; False when `obj` holds bytes that must go first and find no room."""
    _unblock(obj, fd)
    if isinstance(obj, (io.BufferedWriter, io.BufferedRandom)):
        try:
            obj.flush()
        except BlockingIOError:
            os.set_blocking(fd, True)
            return False
        except OSError:
            pass  # nobody reads, as the next write will find out
    return True


def _owned(kept: Any, fd: int, used: set[int] | None) -> tuple[int, Callable[[], None]]:
    """A descriptor that nobody else waits for, and what closes it with the object it came from."""
    if used is None or fd not in used:
        if used is not None:
            used.add(fd)
        return fd, (lambda: _close_fd(fd)) if type(kept) is int else (lambda: close_quietly(kept))
    twin = os.dup(fd)
    used.add(twin)

    def close() -> None:
        os.close(twin)
        if type(kept) is not int:  # a number is closed by the end that had it first
            close_quietly(kept)

    return twin, close


def _half_close(fd: int, close: Callable[[], None]) -> None:
    """The other direction of a socket may go on; its peer is told that nothing more comes."""
    import socket

    with socket.socket(fileno=os.dup(fd)) as sock:
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the peer has gone
    close()


def _empty(buffered: bytes = b"") -> ReadEnd:
    reading, writing = os.pipe()
    os.close(writing)
    os.set_blocking(reading, False)
    return ReadEnd(reading, lambda: os.close(reading), buffered)


def _close_fd(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        pass  # the author closed it meanwhile


def _nothing() -> None:
    pass


def _closed(what: str) -> TerminalError:
    return refusal(f"{what} is closed already: give it open", "bad_file", errno.EBADF, "", "closed")


def _no_file(obj: Any, verb: str) -> TerminalError:
    return refusal(
        f"{excerpt(obj)} is no file to {verb}: give a binary file, a descriptor, a socket,"
        " an object with read(size) or write(data), or None",
        "bad_file",
        errno.EINVAL,
        "",
    )


def _no_pump(error: Exception) -> TerminalError:
    return refusal(f"a file cannot be used: {error}", "system", getattr(error, "errno", errno.EAGAIN), "")
