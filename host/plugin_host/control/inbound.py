"""One stream that the peer sends: its bytes in order, taken one piece at a time.

Invariant: the peer is given credit only for what was taken, so what waits here is at most a window.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_host.stream import Streams

__all__ = ["Inbound"]


class Inbound:
    """Iterate over it for bytes; it ends with the stream. `taken` counts the bytes that were used."""

    def __init__(self, streams: Streams) -> None:
        self.number = 0
        self.taken = 0
        self.error: Any = None
        self._streams = streams
        self._pieces: deque[bytes] = deque()
        self._is_over = False
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()

    # The stream's calls.

    def received(self, stream: int, offset: int, data: bytes) -> None:
        self._pieces.append(data)
        self._wake.set()

    def skipped(self, stream: int, offset: int, size: int) -> None:
        pass

    def ended(self, stream: int, total: int, error: Any) -> None:
        self._is_over, self.error = True, error
        self._wake.set()

    # Reading.

    def stop(self) -> None:
        """Nobody wants what still comes."""
        if not self._is_over:
            self._is_over = True
            self._streams.stop(self.number)
        self._pieces.clear()
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while not self._pieces:
                if self._is_over:
                    return
                self._wake.clear()
                await self._wake.wait()
            piece = self._pieces.popleft()
            yield piece
            self.taken += len(piece)
            self._streams.consume(self.number, len(piece))
            async with self._moved:
                self._moved.notify_all()

    async def wait_taken(self, total: int) -> None:
        """Wait until so many bytes have been used."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.taken >= total)
