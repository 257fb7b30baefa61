"""One output of a session on its way into a client's descriptor.

Raw bytes have no gaps, so an output comes whole or visibly cut: its end is an end of file, and whatever
else ends it, this host's death too, is a reset. A local socket that is closed resets its peer when it
holds bytes that were not read; so one byte lies there from the beginning, and is read before a clean end.
Invariant: what waits here is at most what the session gave credit for.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .hangup import HangupWatch

__all__ = ["Drain"]

_READ_BYTES = 64 * 1024


class Drain:
    """Writes to `sock`, which it owns. `taken(size)` hears what the client's descriptor took.

    One that is `shared` is also read by another, and cannot be reset: cut, it ends. `closed` is done
    when the descriptor is.
    """

    def __init__(self, sock: socket.socket, watch: HangupWatch, *, shared: bool) -> None:
        self.taken: Callable[[int], None] = _ignore
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._watch = watch
        self._shared = shared
        self._waiting: deque[bytes | memoryview] = deque()
        self._is_waiting = False
        self._last: Callable[[], None] | None = None  # what is done behind the last byte
        try:
            watch.watch(sock.fileno(), self.abort)
        except OSError:
            sock.close()
            raise

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self.closed.done()

    @property
    def is_ending(self) -> bool:
        """Whether nothing more is to come."""
        return self._last is not None or self.closed.done()

    # Writing.

    def put(self, data: bytes) -> None:
        """Write, now or when there is room."""
        if self.is_ending:
            return
        if self._is_waiting:
            self._waiting.append(data)
            return
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.abort()
            return
        if sent < len(data):
            self._waiting.append(memoryview(data)[sent:] if sent else data)
            self._is_waiting = True
            self._loop.add_writer(self._sock, self._write_more)
        if sent:
            self.taken(sent)

    def _write_more(self) -> None:
        waiting, sent = self._waiting, 0
        try:
            while waiting:
                piece = waiting[0]
                size = self._sock.send(piece)
                sent += size
                if size < len(piece):
                    waiting[0] = memoryview(piece)[size:]
                else:
                    waiting.popleft()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.abort()
            return
        if not waiting:
            self._is_waiting = False
            self._loop.remove_writer(self._sock)
            if self._last is not None:
                self._last()
        if sent:
            self.taken(sent)

    # Ending.

    def finish(self) -> None:
        """End of file, behind the last byte."""
        self._end_with(self._close_clean)

    def cut(self) -> None:
        """A reset, behind the last byte that came."""
        self._end_with(self.abort)

    def _end_with(self, last: Callable[[], None]) -> None:
        if not self.is_ending:
            self._last = last
            if not self._is_waiting:
                last()

    def abort(self) -> None:
        """Close now; the client, if there still is one, is reset."""
        if not self.is_closed:
            if self._shared:
                self._shut(socket.SHUT_WR)
            self._close()

    def _close_clean(self) -> None:
        if self._shared:
            self._shut(socket.SHUT_WR)
        else:
            self._shut(socket.SHUT_RDWR)
            try:
                while self._sock.recv(_READ_BYTES):
                    pass
            except OSError:
                pass
        self._close()

    def _shut(self, how: int) -> None:
        try:
            self._sock.shutdown(how)
        except OSError:
            pass  # the client has closed it already

    def _close(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._loop.remove_writer(self._sock)
        self._watch.forget(self._sock.fileno())
        self._waiting.clear()
        self._sock.close()
        self.closed.set_result(None)


def _ignore(size: int) -> None:
    """Nobody wants to know."""
