"""Sealed messages over any pair of byte streams, as asyncio has them."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import Protocol

from .agreement import agree
from .connection import Role, SealedConnection, State
from .event import Event, Failed, MessageReceived
from .record import MESSAGE_BYTES, NONCE_BYTES

__all__ = ["ByteReader", "ByteWriter", "SealedStream", "open_stream", "read_message", "write_message"]

_READ_BYTES = 64 * 1024


class ByteReader(Protocol):
    """What is needed of an `asyncio.StreamReader`."""

    async def read(self, n: int = ..., /) -> bytes:
        """Up to `n` bytes; b"" at the end."""
        ...


class ByteWriter(Protocol):
    """What is needed of an `asyncio.StreamWriter`."""

    def write(self, data: bytes, /) -> None:
        """Queue these bytes, all of them and in order."""
        ...

    async def drain(self) -> None:
        """Wait for room."""
        ...


class SealedStream:
    """One agreed connection; made by `open_stream`. One task reads at a time, any number write."""

    def __init__(
        self, reader: ByteReader, writer: ByteWriter, connection: SealedConnection, early: list[Event]
    ) -> None:
        self.connection = connection
        self._reader = reader
        self._writer = writer
        self._events: deque[Event] = deque(early)

    async def read(self) -> bytes | None:
        """The next message, None after the last. Raises SealError, now and at every later read."""
        while True:
            if self._events:
                event = self._events[0]
                if isinstance(event, Failed):
                    raise event.error
                self._events.popleft()
                if isinstance(event, MessageReceived):
                    return event.data
            elif self.connection.state is State.ENDED:
                return None
            else:
                self._events += self.connection.receive_data(await self._reader.read(_READ_BYTES))

    async def write(self, message: bytes) -> None:
        """Seal and write one message. Raises LocalProtocolError when it is too long, or after `end`."""
        self._writer.write(self.connection.send_message(message))
        await self._writer.drain()

    async def end(self) -> None:
        """Say that nothing more comes. A second call does nothing."""
        if not self.connection.has_ended:
            self._writer.write(self.connection.send_end())
            await self._writer.drain()


async def open_stream(
    reader: ByteReader,
    writer: ByteWriter,
    secret: bytes,
    role: Role,
    *,
    limit: int = MESSAGE_BYTES,
    timeout: float = 10.0,
) -> SealedStream:
    """Agree with whoever is at the other end. `timeout` is in seconds.

    Raises SealError, TimeoutError, and what the streams raise.
    """
    connection = SealedConnection(role, os.urandom(NONCE_BYTES), limit=limit)

    async def send(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def secrets() -> tuple[bytes]:
        return (secret,)

    async with asyncio.timeout(timeout):
        agreed = await agree(connection, secrets, lambda: reader.read(_READ_BYTES), send)
    return SealedStream(reader, writer, connection, agreed.early)


async def read_message(stream: SealedStream) -> bytes | None:
    """The next message; None when the peer has said that there are no more. Raises SealError."""
    return await stream.read()


async def write_message(stream: SealedStream, message: bytes) -> None:
    """Write one message, which may be empty. Raises LocalProtocolError when it is too long."""
    await stream.write(message)
