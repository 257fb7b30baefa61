"""The write side of a link: at once when there is room, else in lanes and within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host_sdk.errors import RemoteProtocolError
from plugin_host_sdk.lane import Outbox
from plugin_host_sdk.protocol import CONTROL_QUEUE_BYTES, FRAME_BYTES

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .channel import Channel

__all__ = ["Writer"]

# Messages that are joined into one write while corked: more would serialise host and plugin.
_BATCH = 16


class Writer:
    """Writes messages to a channel in order. `lost(error)` is called when the peer is gone or stuck."""

    __slots__ = (
        "_batch",
        "_channel",
        "_is_waiting",
        "_loop",
        "_lost",
        "_other_bytes",
        "_outbox",
        "_rest",
        "_send",
        "is_corked",
    )

    def __init__(
        self,
        channel: Channel,
        loop: asyncio.AbstractEventLoop,
        lost: Callable[[Exception | None], None],
    ) -> None:
        self._channel = channel
        self._send = channel.send
        self._loop = loop
        self._lost = lost
        self._outbox = Outbox()
        self._batch: list[bytes] = []
        self.is_corked = False
        self._is_waiting = False  # for room in the channel
        self._rest: list[bytes | memoryview] = []  # what is left of the piece in writing
        self._other_bytes = 0  # queued control bytes that belong to no call

    def __repr__(self) -> str:
        return f"<Writer waiting={self._is_waiting} {self._outbox!r}>"

    def write_call(self, data: bytes) -> None:
        """Write a request. What its callers wait for is not held against the peer's queue."""
        if self.is_corked and len(data) <= FRAME_BYTES:
            self._batch.append(data)
            if len(self._batch) >= _BATCH:
                self._write_batch()
        else:
            self._write(data)

    def write(self, data: bytes) -> None:
        """Write any other message; too much of it for a peer that does not read ends the link."""
        if self.is_corked:
            self._write_batch()
        self._write(data)
        if self._is_waiting:
            self._other_bytes += len(data)
            if self._other_bytes > CONTROL_QUEUE_BYTES:
                self._lost(
                    RemoteProtocolError(
                        f"the plugin does not read: {self._other_bytes} bytes of answers and notices wait"
                    )
                )

    def uncork(self) -> None:
        """Write the calls that were gathered since `is_corked` was set in this iteration of the loop."""
        self.is_corked = False
        if self._batch:
            self._write_batch()

    def close(self) -> None:
        """Forget what waits and stop writing."""
        if self._is_waiting and self._channel.write_fd >= 0:
            self._loop.remove_writer(self._channel.write_fd)
        self._is_waiting = False
        self.is_corked = False
        self._batch.clear()
        self._rest.clear()
        self._outbox.clear()

    def _write_batch(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            self._write(b"".join(batch), is_batch=True)

    def _write(self, data: bytes, *, is_batch: bool = False) -> None:
        if not self._is_waiting:
            try:
                sent = self._send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                return  # the peer is gone: its end of file is on the way, and names the reason
            if sent == len(data):
                return
            if sent:
                self._rest.append(memoryview(data)[sent:])
                self._wait()
                return
            self._wait()
        if is_batch or len(data) <= FRAME_BYTES:
            self._outbox.put(data)
        else:
            self._outbox.put_bulk("message", (data,))

    def _wait(self) -> None:
        self._is_waiting = True
        self._loop.add_writer(self._channel.write_fd, self._write_more)

    def _write_more(self) -> None:
        while True:
            if not self._rest:
                piece = self._outbox.take()
                if piece is None:
                    self._is_waiting = False
                    self._loop.remove_writer(self._channel.write_fd)
                    return
                self._other_bytes = 0 if not self._outbox.control_bytes else self._other_bytes
                self._rest = list(piece)
            try:
                sent = self._channel.send(self._rest[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.close()
                return
            if sent == len(self._rest[0]):
                self._rest.pop(0)
            else:
                self._rest[0] = memoryview(self._rest[0])[sent:]
