"""Threads between an author's `read` or `write`, which may wait, and a pipe, which can be waited for.

Invariant: an author's method is called by one thread of ours at a time, and never by the one that closes;
what it raised is in `error` before the pipe tells of the end. A pump holds a pipe's worth of bytes and one
piece. An author's method that never returns keeps its thread, and nothing else.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import excerpt

from .custody import close_quietly
from .executable import refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["ReadPump", "WritePump"]

_PIECE = 64 * 1024


class ReadPump:
    """Reads `obj` by `read(size)` into a pipe; `fd` is its other end. Raises OSError, RuntimeError.

    `let_go` is called when `obj` is needed no longer, and may close it; also twice.
    """

    def __init__(self, obj: Any, read: Callable[[int], Any], let_go: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._obj = obj
        self._read = read
        self._let_go = let_go
        self._is_reading = True
        self.fd, self._into = os.pipe()
        os.set_blocking(self.fd, False)
        _start(self._run, "exec read", self.fd, self._into)

    def close(self) -> None:
        """Stop at the next piece, and wake a `read` that waits where closing its object does that."""
        os.close(self.fd)
        if self._is_reading and not _is_of_the_library(self._obj):
            try:
                threading.Thread(target=self._let_go, name="exec close", daemon=True).start()
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
        self._let_go()

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
    """Writes what comes out of a pipe to `obj` by `write(data)`; `fd` is the pipe's other end.

    `let_go` as of a ReadPump. Raises OSError, RuntimeError.
    """

    def __init__(self, obj: Any, write: Callable[[Any], Any], let_go: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._obj = obj
        self._write = write
        self._let_go = let_go
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
        self._let_go()

    def _write_all(self, data: bytes) -> None:
        while data:
            size = self._write(data)
            if size == 0:
                raise OSError(errno.EIO, f"write() of {excerpt(self._obj)} took nothing")
            # Raw files say how much they took; others take all, and may say nothing.
            data = data[size:] if isinstance(size, int) else b""


def _is_of_the_library(obj: Any) -> bool:
    """Whether closing `obj` does not wake its reader: a buffered file waits for the reading, a raw one
    gives its descriptor's number away under it."""
    sockets = sys.modules.get("socket")
    return isinstance(obj, (io.BufferedIOBase, io.TextIOBase, io.FileIO)) or (
        sockets is not None and isinstance(obj, sockets.SocketIO)
    )


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
