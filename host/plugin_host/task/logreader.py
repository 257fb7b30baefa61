"""Reading the log of a task, in order and without loss.

Invariant: as long as a reader is attached it gets every byte from `start` to the end of the log, and one
that was released meanwhile knows how many it missed; the iteration ends behind the last one, or raises why
that will never come.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

from plugin_host.currenttask import current_task
from plugin_host.errors import InvalidPayload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from .log import TaskLog

__all__ = ["LogReader"]

_CHUNK_BYTES = 64 * 1024


class LogReader:
    """Iterate over it for bytes; made by `Task.log`.

    It is attached from the moment it is made until it is closed, as by the end of a `with`, or nobody has
    it any more; a worker waits for one that is attached and does not read, but not while the asyncio task
    that read last waits for the result. `start` is the offset of its first byte, `evicted` how many of
    those that were asked for are kept no longer, `offset` that of the next.
    """

    def __init__(self, log: TaskLog, offset: int | None, check: Callable[[], None]) -> None:
        """`check()` raises why the log is not whole, once it has ended."""
        wanted = log.start if offset is None else log.end if offset == -1 else offset
        if not 0 <= wanted <= log.end:
            raise InvalidPayload(f"the log has {log.end} bytes; there is no offset {offset}")
        self.start = self.offset = max(wanted, log.start)
        self.evicted = self.start - wanted
        self._log = log
        self._check = check
        self._number = log.attach(self.start)
        self._is_released = False
        self._loop: asyncio.AbstractEventLoop | None = _loop()
        self.task = current_task()  # who read last
        self._guard()

    def _guard(self) -> None:
        """Have it detached when nobody has it any more; it may be dropped on any thread."""
        self._finalizer = weakref.finalize(self, _detach, self._loop, self._log, self._number)
        self._finalizer.atexit = False

    def __repr__(self) -> str:
        return f"<LogReader at {self.offset} of {self._log!r}>"

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        log = self._log
        self.task = current_task()
        self._take_up()
        while log.place(self._number) is not None:
            if data := log.take(self._number, _CHUNK_BYTES):
                self.offset += len(data)
                return data
            if log.is_over:
                self.close()
                self._check()
                break
            await log.wait_for_more(self._number)
        raise StopAsyncIteration

    def release(self) -> None:
        """It is not waited for until it is asked for more; what is not kept until then is `evicted`."""
        if self._log.place(self._number) is not None and not self._log.is_waited_for(self._number):
            self._finalizer.detach()
            self._log.detach(self._number)
            self._is_released = True

    def _take_up(self) -> None:
        """Go on where it was when it was released, or at the oldest byte that is kept."""
        if self._is_released:
            self._is_released = False
            place = max(self.offset, self._log.start)
            self.evicted += place - self.offset
            self.offset = place
            self._number = self._log.attach(place)
            self._guard()

    def close(self) -> None:
        """Read no more; nobody waits for this reader any longer."""
        self._is_released = False
        self._finalizer.detach()
        self._log.detach(self._number)

    async def __aenter__(self) -> LogReader:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _loop() -> asyncio.AbstractEventLoop | None:
    """The loop; None behind the host's end, where a log that is over is all there to be read."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _detach(loop: asyncio.AbstractEventLoop | None, log: TaskLog, number: int) -> None:
    if loop is None:
        return
    try:
        loop.call_soon_threadsafe(log.detach, number)
    except RuntimeError:
        pass  # the loop is closed, and with it the host
