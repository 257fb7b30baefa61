"""The files that authors return, as descriptors that can be waited for.

Pipes, sockets and terminals are used directly: non-blocking, beginning with what already lies in the
buffer of the Python object. Everything else (regular files, objects with methods) is pumped by a thread.

Ownership moves to the end: it keeps the object, and its `close` closes it.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
from typing import TYPE_CHECKING, NamedTuple

from plugin_host_sdk.errors import TerminalError

from .descriptor import binary, buffered, check_mode, descriptor, flushed, is_pollable, no_file, unblock
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
    kept, obj = obj, binary(obj, "read")
    if type(obj) is io.BytesIO and obj.getbuffer().nbytes - obj.tell() <= _AT_ONCE_BYTES:
        return _empty(obj.read(), kept)
    fd = descriptor(obj)
    if fd >= 0:
        check_mode(obj, fd, os.O_WRONLY, "reading")
        if is_pollable(fd):
            unblock(obj, fd)
            before = buffered(obj)
            fd, close = _owned(kept, fd, used)
            return ReadEnd(fd, close, before)
        if type(obj) is int:
            kept = obj = open(fd, "rb", buffering=0)  # noqa: SIM115  # closed at the end
    read = getattr(obj, "read1", None) or getattr(obj, "read", None)
    if not callable(read):
        raise no_file(obj, "read")
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
    kept, obj = obj, binary(obj, "write")
    fd = descriptor(obj)
    if fd >= 0:
        check_mode(obj, fd, os.O_RDONLY, "writing")
        if is_pollable(fd) and flushed(obj, fd):
            fd, close = _owned(kept, fd, used)
            is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
            return WriteEnd(fd, (lambda: _half_close(fd, close)) if is_socket else close)
        if type(obj) is int:
            kept = obj = open(fd, "wb", buffering=0)  # noqa: SIM115  # closed at the end
    write = getattr(obj, "write", None)
    if not callable(write):
        raise no_file(obj, "write")
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


def _empty(before: bytes = b"", kept: Any = None) -> ReadEnd:
    """An end that gives `before` and has no more."""
    reading, writing = os.pipe()
    os.close(writing)
    os.set_blocking(reading, False)

    def close() -> None:
        os.close(reading)
        close_quietly(kept)

    return ReadEnd(reading, close, before)


def _close_fd(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        pass  # the author closed it meanwhile


def _nothing() -> None:
    pass


def _no_pump(error: Exception) -> TerminalError:
    return refusal(f"a file cannot be used: {error}", "system", getattr(error, "errno", errno.EAGAIN), "")
