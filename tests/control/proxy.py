"""Somebody between a client and a host: passes records on over real sockets, or does something to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from plugin_host.control.address import Address, parse_address

__all__ = ["Meddle", "proxy"]

# What is passed on instead of the record with this number, counted from the first that the client sends.
Meddle = Callable[[int, bytes], list[bytes]]


@asynccontextmanager
async def proxy(
    target: str, meddle: Meddle, heard: Callable[[bytes], None] = lambda data: None
) -> AsyncIterator[str]:
    """The address to connect to instead of `target`; what the client sends goes through `meddle`.

    `heard` gets what comes back, as it comes.
    """
    there = parse_address(target)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward = await asyncio.open_connection(there.host, there.port)
        back = asyncio.create_task(_pass_on(onward_reader, writer, heard))
        tasks.add(back)
        number = 0
        try:
            while True:
                head = await reader.readexactly(8)
                record = head + await reader.readexactly(int.from_bytes(head[4:]))
                for one in meddle(number, record):
                    onward.write(one)
                await onward.drain()
                number += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            onward.close()
            await back

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield str(Address("127.0.0.1", server.sockets[0].getsockname()[1]))
    await asyncio.gather(*tasks)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Callable[[bytes], None]
) -> None:
    try:
        while data := await reader.read(65536):
            heard(data)
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
