"""One stream that this side sends: bytes in order, no faster than the peer takes them.

Whoever writes waits for credit and for room, so what is queued here is bounded. Invariant: after `end`, and
after the peer gave the stream up, nothing is written any more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from plugin_host.stream import Sender

__all__ = ["Outbound", "Outgoing"]


class Outgoing(Protocol):
    """The streams that one is of: `plugin_host.stream.Streams`, or what stands for it."""

    def open_send(self, stream: int, credit: int, sender: Sender) -> None:
        """The peer takes `credit` bytes for now."""

    def credit(self, stream: int) -> int:
        """How many bytes may be sent in one frame now."""

    def room(self) -> asyncio.Future[None] | None:
        """What to wait for before more is sent; None when there is room."""

    def send(self, stream: int, data: bytes | memoryview, *, urgent: bool) -> None:
        """Send up to `credit` bytes."""

    def skip(self, stream: int, size: int) -> None:
        """Say that `size` bytes are left out."""

    def end(self, stream: int, *, urgent: bool, error: dict[str, Any] | None = None) -> None:
        """Send the last frame."""


class Outbound:
    """Writes to stream `number`. Urgent is what a person has typed."""

    def __init__(self, streams: Outgoing, number: int, *, urgent: bool = False) -> None:
        self.number = number
        self.total = 0
        self._streams = streams
        self._urgent = urgent
        self._lock = asyncio.Lock()
        self._wake: asyncio.Future[None] | None = None
        self._refusal = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing can be written any more."""
        return bool(self._refusal)

    def open(self, credit: int) -> None:
        """Both sides know of the stream, and the peer takes `credit` bytes for now."""
        self._streams.open_send(self.number, credit, self)

    # The stream's calls.

    def credited(self) -> None:
        self.wake()

    def stopped(self) -> None:
        self.refuse("it takes no more input")

    def wake(self) -> None:
        """Something has changed for who waits to write."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def refuse(self, reason: str, error: dict[str, Any] | None = None) -> None:
        """Send the end, and take no more; `error` says to the peer why it comes early."""
        if not self._refusal:
            self._refusal = reason
            self._streams.end(self.number, urgent=self._urgent, error=error)
        self.wake()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`, waiting for credit. Raises what `check` does."""
        rest = memoryview(data).cast("B")
        async with self._lock:
            while rest:
                self.check()
                size = min(len(rest), self._streams.credit(self.number))
                if size == 0:
                    await self._wait()
                elif (room := self._streams.room()) is not None:
                    await room
                else:
                    self._streams.send(self.number, rest[:size], urgent=self._urgent)
                    self.total += size
                    rest = rest[size:]

    def skip(self, size: int) -> None:
        """Say that `size` bytes are left out; that takes no credit."""
        self.check()
        self._streams.skip(self.number, size)
        self.total += size

    async def _wait(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    async def end(self) -> int:
        """No more is written; the number of bytes that were. Waits for the writes before it."""
        async with self._lock:
            self.refuse("its input was closed")
            return self.total

    def check(self) -> None:
        """Raise BrokenPipeError, with the reason, when nothing is taken any more."""
        if self._refusal:
            raise BrokenPipeError(self._refusal)
