"""The input of a session: sent in order, no faster than the plugin takes it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from plugin_host.errors import SessionClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.stream import Streams

__all__ = ["Input"]


class Input:
    """Writes to stream `number`. `check()` raises why the plugin cannot be written to any more."""

    def __init__(
        self, session: str, streams: Streams, number: int, *, urgent: bool, check: Callable[[], None]
    ) -> None:
        self.number = number
        self.total = 0
        self._session = session
        self._streams = streams
        self._urgent = urgent
        self._check = check
        self._lock = asyncio.Lock()
        self._wake: asyncio.Future[None] | None = None
        self._refusal = ""

    def open(self, credit: int) -> None:
        """The session is there."""
        self._streams.open_send(self.number, credit, self)

    # The stream's calls.

    def credited(self) -> None:
        self.wake()

    def stopped(self) -> None:
        self._refuse("it takes no more input")

    def wake(self) -> None:
        """Something has changed for who waits to write."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _refuse(self, reason: str) -> None:
        if not self._refusal:
            self._refusal = reason
            self._streams.end(self.number, urgent=self._urgent)
        self.wake()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`, waiting for credit. Raises SessionClosed when it is not taken any more."""
        rest = memoryview(data).cast("B")
        async with self._lock:
            while rest:
                self._check_open()
                size = min(len(rest), self._streams.credit(self.number))
                if size == 0:
                    await self._wait()
                elif (room := self._streams.room()) is not None:
                    await room
                else:
                    self._streams.send(self.number, rest[:size], urgent=self._urgent)
                    self.total += size
                    rest = rest[size:]

    async def _wait(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    async def end(self) -> int:
        """No more is written; the number of bytes that were. Waits for the writes before it."""
        async with self._lock:
            self._refuse("its input was closed")
            return self.total

    def _check_open(self) -> None:
        self._check()
        if self._refusal:
            raise SessionClosed(self._refusal, session=self._session)
