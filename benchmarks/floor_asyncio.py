"""Floor: the shortest asyncio msgpack-RPC loop: `add_reader`, a table of futures, nothing else.

Calls made while the answers of one read are delivered are joined, 16 at most; this is the fastest of
the simple ways to write them, and so the floor.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgpack

from .asyncio_driver import AsyncioDriver
from .echo_process import EchoProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["driver", "open_loop"]

_READ_BYTES = 64 * 1024
_BATCH = 16


class _Loop:
    def __init__(self) -> None:
        self._process = EchoProcess()
        self._channel = self._process.channel
        self._channel.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray(_READ_BYTES)
        self._view = memoryview(self._buffer)
        self._unpacker = msgpack.Unpacker(max_buffer_size=1 << 26)
        self._pack = msgpack.Packer().pack
        self._fed = 0
        self._msgid = 0
        self._futures: dict[int, asyncio.Future[Any]] = {}
        self._is_corked = False
        self._batch: list[bytes] = []
        self._rest = memoryview(b"")
        self._loop.add_reader(self._channel, self._read)

    def call(self, payload: bytes) -> Awaitable[Any]:
        msgid = self._msgid = self._msgid + 1
        future = self._futures[msgid] = self._loop.create_future()
        data = self._pack([0, msgid, "echo", [payload]])
        if self._is_corked:
            self._batch.append(data)
            if len(self._batch) == _BATCH:
                self._write_batch()
        else:
            self._write(data)
        return future

    def _read(self) -> None:
        unpacker = self._unpacker
        size = self._channel.recv_into(self._buffer)
        unpacker.feed(self._view[:size])
        self._fed += size
        count = 0
        while unpacker.tell() < self._fed:
            try:
                _, msgid, _, result = unpacker.unpack()
            except msgpack.OutOfData:
                break
            self._futures.pop(msgid).set_result(result)
            count += 1
        if count > 1:
            self._is_corked = True
            self._loop.call_soon(self._uncork)

    def _uncork(self) -> None:
        self._is_corked = False
        if self._batch:
            self._write_batch()

    def _write_batch(self) -> None:
        self._write(b"".join(self._batch))
        self._batch.clear()

    def _write(self, data: bytes) -> None:
        """At once; only a big message does not fit, and nothing else is written while it waits."""
        sent = self._channel.send(data)
        if sent < len(data):
            self._rest = memoryview(data)[sent:]
            self._loop.add_writer(self._channel, self._write_rest)

    def _write_rest(self) -> None:
        self._rest = self._rest[self._channel.send(self._rest) :]
        if not self._rest:
            self._loop.remove_writer(self._channel)

    async def close(self) -> None:
        self._loop.remove_reader(self._channel)
        self._process.close()


async def open_loop() -> _Loop:
    return _Loop()


def driver() -> AsyncioDriver:
    return AsyncioDriver(open_loop)
