"""The input of a session: written as it arrives, kept while the program does not read.

Bytes come on the reading thread and are written there if they fit; the rest waits for the reactor. What
was written is given back to the writer as credit, so no more than a window ever waits. Invariant: bytes
are written in order, and the end comes after the last byte that was announced.
"""

from __future__ import annotations

import os
import threading
from collections import deque

from plugin_host_sdk.errors import CallFailed, SessionClosed

from .reactor import WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from plugin_host_sdk.sink import Sink

    from .reactor import Reactor

__all__ = ["Input"]


class Input:
    """Listens to one input stream. It takes bytes from the start and writes them once it has a descriptor.

    `session` is the id, for messages.
    """

    def __init__(self, session: str, sink: Sink, reactor: Reactor) -> None:
        self._session = session
        self._sink = sink
        self._reactor = reactor
        self._lock = threading.Lock()
        self._number: int | None = None
        self._fd = -1
        self._close: Callable[[], None] | None = None
        self._end_of_file: Callable[[], bytes] | None = None
        self._waiting: deque[bytes | memoryview] = deque()
        self._received = 0
        self._total: int | None = None  # where the input ends
        self._last = b"\n"
        self._mark: bytes | None = None  # what is left to write of a terminal's end of file
        self._is_over = False
        self.has_ended_terminal = False  # all was written, and that it is all
        self.on_received: Callable[[], None] | None = None  # called on the reading thread
        self.on_terminal_end: Callable[[], None] | None = None  # called on the reactor's thread

    @property
    def number(self) -> int | None:
        """The stream it listens to."""
        return self._number

    def open(self, number: int, window: int) -> int:
        """Listen to stream `number`; the window that is granted."""
        granted = self._sink.open_input(number, window, self)
        self._number = number
        return granted

    def connect(
        self, fd: int, close: Callable[[], None], end_of_file: Callable[[], bytes] | None = None
    ) -> None:
        """Write to `fd`, which does not block and is owned from now on. A terminal has `end_of_file`.

        What it was connected to before is let go; -1 is no input at all, and what comes is refused.
        """
        with self._lock:
            self._let_go()
            self._mark = None
            self.has_ended_terminal = False
            if not self._waiting:
                self._last = b"\n"  # no line was begun there
                if self._is_complete():
                    self._is_over = False  # it has to be told of the end, as the one before it was
            is_over = self._is_over or fd < 0
            if not is_over:
                self._fd, self._close, self._end_of_file = fd, close, end_of_file
        if is_over:
            close()
            self.close()
        else:
            self._write_on(0)

    # The sink's calls, on the reading thread.

    def received(self, offset: int, data: bytes) -> None:
        if self.on_received is not None:
            self.on_received()
        with self._lock:
            if self._is_over:
                return
            if self._total is not None:
                data = data[: max(0, self._total - self._received)]  # what is behind the end is not input
            if not data:
                return
            self._received += len(data)
            self._last = data[-1:]
            self._waiting.append(data)
            if len(self._waiting) > 1 or self._fd < 0:
                return
        self._write_on(0)

    def ended(self, total: int, error: Any = None) -> None:
        pass  # `end_after` says where the input ends; this only says that the stream is done

    # The session's.

    def end_after(self, total: int) -> None:
        """End the input after its first `total` bytes. Raises SessionClosed, CallFailed."""
        with self._lock:
            if self._is_over and self._total is None:
                raise SessionClosed("it takes no more input", session=self._session)
            if total < self._received:
                raise CallFailed(
                    f"input cannot end after {total} bytes: {self._received} have arrived",
                    name="rpc.invalid_params",
                )
            if self._total is None:
                self._total = total
        self._write_on(0)

    def close(self) -> None:
        """Take no more: what waits is dropped, and the writer is told."""
        with self._lock:
            if self._is_over and self._fd < 0:
                return
            self._is_over = True
            self._waiting.clear()
            self._let_go()
        if self._number is not None and not self._is_complete():
            self._sink.stop(self._number)

    def forget(self) -> None:
        """Its session was not opened after all."""
        number, self._number = self._number, None
        self.close()
        if number is not None:
            self._sink.forget(number)

    def disown(self) -> None:
        """In a forked child, where the parent's threads and locks are not: close its copy."""
        if self._fd >= 0:
            os.close(self._fd)

    def mark_end_again(self) -> None:
        """Tell a terminal's program once more that the input has ended."""
        with self._lock:
            if self._fd < 0 or not self.has_ended_terminal or self._end_of_file is None:
                return
            try:
                os.write(self._fd, self._end_of_file())
            except OSError:
                pass  # nobody reads, or there is much to read still

    def _let_go(self) -> None:
        fd, close, self._fd, self._close = self._fd, self._close, -1, None
        if fd >= 0:
            self._reactor.watch(fd, 0, self._write_on)
        if close is not None:
            close()

    def _is_complete(self) -> bool:
        return self._total is not None and self._received >= self._total

    def _write_on(self, events: int) -> None:
        """Write what fits; the reactor calls it again when more does."""
        written, is_done = 0, False
        with self._lock:
            if self._fd < 0:
                return
            try:
                written = self._write_waiting()
                is_done = self._is_complete() and not self._waiting and self._write_mark()
            except OSError:  # nobody reads any more
                is_done = True
                self._end_of_file = None
            # A terminal may have to be told again, so its descriptor stays.
            self.has_ended_terminal = is_done and self._end_of_file is not None
            self._is_over = self._is_over or is_done
            is_full = bool(self._waiting or self._mark) and not is_done
            self._reactor.watch(self._fd, WRITE if is_full else 0, self._write_on)
        if written and self._number is not None:
            self._sink.consumed(self._number, written)
        if is_done and not self.has_ended_terminal:
            self.close()
        elif is_done and self.on_terminal_end is not None:
            self._reactor.call_soon(self.on_terminal_end)
        if events:
            self._sink.flush()

    def _write_waiting(self) -> int:
        """How many bytes were written. Raises OSError when nobody reads."""
        total, waiting = 0, self._waiting
        while waiting:
            data = waiting[0]
            try:
                size = os.write(self._fd, data)
            except BlockingIOError:
                break
            total += size
            if size == len(data):
                waiting.popleft()
            else:
                waiting[0] = memoryview(data)[size:]
        return total

    def _write_mark(self) -> bool:
        """Tell a terminal's program that the input has ended; whether that is done."""
        if self._mark is None:
            mark = self._end_of_file() if self._end_of_file is not None else b""
            # The first one only ends a line that was begun.
            self._mark = mark if self._last == b"\n" else mark * 2
        if self._mark:
            try:
                self._mark = self._mark[os.write(self._fd, self._mark) :]
            except BlockingIOError:
                pass
        return not self._mark
