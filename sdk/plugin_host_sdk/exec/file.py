"""The files that authors return, as descriptors that can be waited for.

Pipes, sockets and terminals are used directly: non-blocking, beginning with what already lies in the
buffer of the Python object. Everything else (regular files, objects with methods) is pumped by a thread.

Ownership moves to the end: it keeps what was given, and its `close` closes that, unless another end of
the session still uses it.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from plugin_host_sdk.errors import TerminalError

from .custody import Custody
from .descriptor import binary, buffered, check_mode, descriptor, flushed, is_pollable, no_file, unblock
from .executable import refusal
from .process import describe_code, describe_signal
from .pump import ReadPump, WritePump

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .process import Status

__all__ = [
    "PopenEnds",
    "ReadEnd",
    "WriteEnd",
    "adapt_files",
    "adapt_popen",
    "adapt_reader",
    "adapt_writer",
    "is_popen",
    "popen_status",
]

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


def adapt_reader(obj: Any, custody: Custody | None = None) -> ReadEnd:
    """Read from `obj`: a binary file, a descriptor, a socket, any object with `read(size)`; None is empty.

    `custody` is needed when `obj` serves other ends too. Raises TerminalError; nothing is closed then.
    """
    if obj is None:
        return _empty(_nothing)
    custody, given, obj = custody or Custody(obj), obj, binary(obj, "read")
    if type(obj) is io.BytesIO and obj.getbuffer().nbytes - obj.tell() <= _AT_ONCE_BYTES:
        return _empty(custody.hold(given), obj.read())
    fd = descriptor(obj)
    if fd >= 0:
        check_mode(obj, fd, os.O_WRONLY, "reading")
        if is_pollable(fd):
            unblock(obj, fd)
            before = buffered(obj)
            return ReadEnd(*custody.hold_descriptor(given, fd), before)
        if type(obj) is int:
            obj = open(fd, "rb", buffering=0, closefd=False)  # noqa: SIM115  # the number is closed at the end
    read = getattr(obj, "read1", None) or getattr(obj, "read", None)
    if not callable(read):
        raise no_file(obj, "read")
    try:
        pump = ReadPump(obj, read, custody.hold(given))
    except (OSError, RuntimeError) as error:
        raise _no_pump(error) from None
    return ReadEnd(pump.fd, pump.close, pump=pump)


def adapt_writer(obj: Any, custody: Custody | None = None) -> WriteEnd:
    """Write to `obj`: a binary file, a descriptor, a socket, any object with `write(data)`; or None.

    `custody` is needed when `obj` serves other ends too. Raises TerminalError; nothing is closed then.
    """
    if obj is None:
        return WriteEnd(-1, _nothing)
    custody, given, obj = custody or Custody(obj), obj, binary(obj, "write")
    fd = descriptor(obj)
    if fd >= 0:
        check_mode(obj, fd, os.O_RDONLY, "writing")
        if is_pollable(fd) and flushed(obj, fd):
            is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
            fd, close = custody.hold_descriptor(given, fd)
            return WriteEnd(fd, (lambda: _half_close(fd, close)) if is_socket else close)
        if type(obj) is int:
            obj = open(fd, "wb", buffering=0, closefd=False)  # noqa: SIM115  # the number is closed at the end
    write = getattr(obj, "write", None)
    if not callable(write):
        raise no_file(obj, "write")
    try:
        pump = WritePump(obj, write, custody.hold(given))
    except (OSError, RuntimeError) as error:
        raise _no_pump(error) from None
    return WriteEnd(pump.fd, pump.close, pump=pump)


def adapt_files(stdin: Any, stdout: Any, stderr: Any) -> tuple[WriteEnd, ReadEnd, ReadEnd]:
    """All three of a session. They may share a descriptor, like the two directions of one socket.

    Raises TerminalError, and has closed everything then.
    """
    custody = Custody(stdin, stdout, stderr)
    ends: list[ReadEnd | WriteEnd] = []
    try:
        out = adapt_reader(stdout, custody)
        ends.append(out)
        err = adapt_reader(stderr, custody)
        ends.append(err)
        return adapt_writer(stdin, custody), out, err
    except BaseException as error:
        for end in ends:
            end.close()
        is_closed = isinstance(error, TerminalError) and error.data.get("detail") == "closed"
        # A number that is not open may be somebody else's in a moment.
        for given in (stdout, stderr, stdin)[len(ends) + is_closed :]:
            custody.hold(given)()
        raise


def adapt_popen(popen: Any) -> PopenEnds:
    """A `subprocess.Popen`, or what behaves like one. Streams it lacks are empty. Raises TerminalError."""
    stdin, stdout, stderr = adapt_files(popen.stdin, popen.stdout, popen.stderr)
    has_ended = popen.poll() is not None
    return PopenEnds(stdin, stdout, stderr, None if has_ended else popen.pid, partial(popen_status, popen))


def is_popen(result: Any) -> bool:
    """Whether a handler returned a `subprocess.Popen`, or what behaves like one."""
    return hasattr(result, "poll") and hasattr(result, "pid")


def popen_status(popen: Any) -> Status | None:
    """How its process has ended; None while it runs."""
    code = popen.poll()
    if code is None:
        return None
    return describe_signal(-code) if code < 0 else describe_code(code)


def _half_close(fd: int, close: Callable[[], None]) -> None:
    """The other direction of a socket may go on; its peer is told that nothing more comes."""
    import socket

    with socket.socket(fileno=os.dup(fd)) as sock:
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the peer has gone
    close()


def _empty(let_go: Callable[[], None], before: bytes = b"") -> ReadEnd:
    """An end that gives `before` and has no more."""
    reading, writing = os.pipe()
    os.close(writing)
    os.set_blocking(reading, False)

    def close() -> None:
        os.close(reading)
        let_go()

    return ReadEnd(reading, close, before)


def _nothing() -> None:
    pass


def _no_pump(error: Exception) -> TerminalError:
    return refusal(f"a file cannot be used: {error}", "system", getattr(error, "errno", errno.EAGAIN), "")
