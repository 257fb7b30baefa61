"""Threads between an author's `read` or `write`, which may wait, and a pipe, which can be waited for.

Invariant: an author's method is called by one thread of ours at a time, and never by the one that closes;
what it raised is in `error` before the pipe tells of the end. A pump holds a pipe's worth of bytes and one
piece. An author's method that never returns keeps its thread, and nothing else.
"""

from __future__ import annotations

import errno
import io
import os
import threading
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import excerpt

from .executable import refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["ReadPump", "WritePump", "close_quietly"]

_PIECE = 64 * 1024


class ReadPump:
    """Reads `obj` by `read(size)` into a pipe; `fd` is its other end. Raises OSError, RuntimeError."""

    def __init__(self, obj: Any, read: Callable[[int], Any]) -> None:
        self.error: BaseException | None = None
        self._obj = obj
        self._read = read
        self._is_reading = True
        self.fd, self._into = os.pipe()
        os.set_blocking(self.fd, False)
        _start(self._run, "exec read", self.fd, self._into)

    def close(self) -> None:
        """Stop at the next piece, and wake a `read` that waits where closing its object does that."""
        os.close(self.fd)
        # A buffered file cannot be closed while it is being read: closing would wait for the reading.
        if self._is_reading and not isinstance(self._obj, io.BufferedIOBase | io.TextIOBase):
            try:
                threading.Thread(
                    target=close_quietly, args=(self._obj,), name="exec close", daemon=True
                ).start()
            except RuntimeError:
                pass  # no thread to be had: the reading one closes it when it returns

    def _run(self) -> None:
        try:
            while data := self._next():
                if not self._pass_on(data):
                    break
        except BaseException as error:
            self.error = error
        self._is_reading = False
        os.close(self._into)
        close_quietly(self._obj)

    def _next(self) -> bytes | memoryview:
        data = self._read(_PIECE)
        if isinstance(data, (bytes, bytearray, memoryview)):
            return data if isinstance(data, bytes) else bytes(data)
        raise _not_bytes(self._obj, data)

    def _pass_on(self, data: bytes | memoryview) -> bool:
        """Whether anybody still reads."""
        try:
            while data:
                data = memoryview(data)[os.write(self._into, data) :]
        except BrokenPipeError:
            return False
        return True


class WritePump:
    """Writes what comes out of a pipe to `obj` by `write(data)`; `fd` is the pipe's other end."""

    def __init__(self, obj: Any, write: Callable[[Any], Any]) -> None:
        self.error: BaseException | None = None
        self._obj = obj
        self._write = write
        self._from, self.fd = os.pipe()
        os.set_blocking(self.fd, False)
        _start(self._run, "exec write", self._from, self.fd)

    def close(self) -> None:
        """End the input: what is in the pipe is still written."""
        os.close(self.fd)

    def _run(self) -> None:
        flush = getattr(self._obj, "flush", None)
        try:
            while data := os.read(self._from, _PIECE):
                self._write_all(data)
                if callable(flush):
                    flush()
        except BaseException as error:
            self.error = error
        os.close(self._from)
        close_quietly(self._obj)

    def _write_all(self, data: bytes) -> None:
        while data:
            size = self._write(data)
            if size == 0:
                raise OSError(errno.EIO, f"write() of {excerpt(self._obj)} took nothing")
            # Raw files say how much they took; others take all, and may say nothing.
            data = data[size:] if isinstance(size, int) else b""


def close_quietly(obj: Any) -> None:
    """Call its `close`, if it has one; what that raises concerns nobody any more."""
    close = getattr(obj, "close", None)
    try:
        if callable(close):
            close()
    except Exception:
        pass


def _start(run: Callable[[], None], name: str, *fds: int) -> None:
    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:
        for fd in fds:
            os.close(fd)
        raise


def _not_bytes(obj: Any, data: Any) -> Exception:
    if isinstance(data, str):
        fault = "gave text, and a session carries bytes: open it in binary mode"
    elif hasattr(data, "__await__"):
        close_quietly(data)  # or it would complain of never having been awaited
        fault = "is a coroutine function: give an object whose read() returns bytes"
    else:
        fault = f"gave {excerpt(data)}: bytes are wanted, and b'' at the end"
    return refusal(f"read() of {excerpt(obj)} {fault}", "bad_file", errno.EINVAL, "", "text")
