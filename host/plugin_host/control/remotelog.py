"""The log of a task of a host that runs elsewhere, read in order and at the reader's pace.

Invariants: the host is given credit only for bytes that were taken, so what waits here is at most a window;
what a reader misses is counted, never left out in silence.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.protocol import TERMINAL_WINDOW_BYTES

from .errormap import from_map

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from .remote import Remote

__all__ = ["LogDrain", "RemoteLog"]


class LogDrain:
    """The receiving end of one log's stream; `on_close()` is called once, when nothing more comes."""

    def __init__(self, host: Remote, on_close: Callable[[LogDrain], None]) -> None:
        self._streams = host.link.streams
        self._on_close = on_close
        self._waiting: deque[bytes | int] = deque()  # a number is so many bytes that are missing
        self._wake = asyncio.Event()
        self._error: Callable[[], Exception] | None = None
        self._is_over = False
        self.number = self._streams.open_receive(TERMINAL_WINDOW_BYTES, self)

    # The stream's calls.

    def received(self, stream: int, offset: int, data: bytes) -> None:
        self._put(data)

    def skipped(self, stream: int, offset: int, size: int) -> None:
        self._put(size)

    def _put(self, what: bytes | int) -> None:
        self._waiting.append(what)
        self._wake.set()

    def ended(self, stream: int, total: int, error: Any) -> None:
        self._end(None if error is None else lambda: from_map(error))

    def _end(self, make_error: Callable[[], Exception] | None) -> None:
        if not self._is_over:
            self._is_over, self._error = True, make_error
            self._on_close(self)
        self._wake.set()

    # The reader's.

    async def take(self) -> bytes | int | None:
        """The next piece, or how many bytes are missing here; None at the end. Raises what ended it."""
        while not self._waiting:
            if self._is_over:
                if self._error is not None:
                    raise self._error()
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popleft()

    def give_back(self, size: int) -> None:
        """So many bytes have been used."""
        self._streams.consume(self.number, size)

    def fail(self, make_error: Callable[[], Exception]) -> None:
        """The connection is over."""
        self._end(make_error)

    def forget(self) -> None:
        """The host has refused to send it."""
        self._streams.forget(self.number)
        self._end(None)

    def close(self) -> None:
        """Nobody wants what still comes."""
        if not self._is_over:
            self._streams.stop(self.number)
        self._waiting.clear()
        self._end(None)


class RemoteLog:
    """Iterate over it for bytes; made by `RemoteTask.log`.

    The host is asked when the first piece is: then `start` is the offset of that, and `evicted` how many of
    the bytes that were asked for are kept no longer. `offset` is that of the next byte, and `missed` how
    many were left out since, because they were not read in time.
    """

    def __init__(
        self, host: Remote, asked: dict[str, Any], register: Callable[[LogDrain], None], on_close: Any
    ) -> None:
        self.start = 0
        self.evicted = 0
        self.offset = 0
        self.missed = 0
        self._host = host
        self._asked = asked
        self._register = register
        self._on_close = on_close
        self._drain: LogDrain | None = None
        self._used = 0
        self._is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._is_closed:
            raise StopAsyncIteration
        drain = self._drain or await self._open()
        if self._used:
            drain.give_back(self._used)
            self._used = 0
        while isinstance(piece := await drain.take(), int):
            self.missed += piece
            self.offset += piece
        if piece is None:
            raise StopAsyncIteration
        self._used = len(piece)
        self.offset += len(piece)
        return piece

    async def _open(self) -> LogDrain:
        drain = self._drain = LogDrain(self._host, self._on_close)
        self._register(drain)
        # Who drops it without a word holds nothing up; it may be dropped on any thread.
        loop = asyncio.get_running_loop()
        weakref.finalize(self, _drop, loop, drain).atexit = False
        named = {"stream": drain.number, "window": TERMINAL_WINDOW_BYTES}
        try:
            answer = await self._host.ask("task.log", self._asked | named)
        except asyncio.CancelledError:
            self.close()
            raise
        except BaseException:
            drain.forget()
            self._is_closed = True
            raise
        self.start = self.offset = answer["start"]
        self.evicted = answer["evicted"]
        return drain

    def close(self) -> None:
        """Read no more. Does nothing the second time."""
        self._is_closed = True
        if self._drain is not None:
            self._drain.close()

    async def __aenter__(self) -> RemoteLog:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _drop(loop: asyncio.AbstractEventLoop, drain: LogDrain) -> None:
    try:
        loop.call_soon_threadsafe(drain.close)
    except RuntimeError:
        pass  # the loop is closed, and the connection with it
