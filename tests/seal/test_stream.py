"""Sealed messages over streams of asyncio."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from plugin_host.errors import KeyMismatch, SealTruncated
from plugin_host.seal import Role, SealedStream, open_stream, read_message, write_message
from plugin_host.seal.derivation import derive_beside
from plugin_host.seal.key import Keys, derive
from plugin_host.seal.record import HEADER_BYTES, Kind, header
from tests.run import Run
from tests.seal.pair import KEY, OTHER_KEY, quick

__all__ = ["quick"]  # fixture

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def joined() -> tuple[Ends, Ends]:
    one, other = socket.socketpair()
    return await asyncio.open_connection(sock=one), await asyncio.open_connection(sock=other)


async def shut(ends: Ends) -> None:
    ends[1].close()
    await ends[1].wait_closed()


async def both(
    here: Ends, there: Ends, key: bytes = KEY
) -> tuple[SealedStream | BaseException, SealedStream | BaseException]:
    return await asyncio.gather(
        open_stream(*here, KEY, Role.CLIENT), open_stream(*there, key, Role.SERVER), return_exceptions=True
    )


def test_messages_cross_in_order_and_end_with_a_word(run: Run) -> None:
    async def scene() -> None:
        here, there = await joined()
        client, server = await both(here, there)
        assert isinstance(client, SealedStream)
        assert isinstance(server, SealedStream)
        for message in (b"", b"one", b"x" * 1_000_000):
            sent = write_message(client, message), write_message(server, message[:9])
            *_, at_server, at_client = await asyncio.gather(
                *sent, read_message(server), read_message(client)
            )
            assert (at_server, at_client) == (message, message[:9])
        await client.end()
        await client.end()
        assert await read_message(server) is None
        assert await read_message(server) is None
        await shut(there)
        for _ in range(2):
            with pytest.raises(SealTruncated):
                await read_message(client)
        await shut(here)

    run(scene())


def test_a_wrong_key_is_told_to_both(run: Run) -> None:
    async def scene() -> None:
        here, there = await joined()
        assert [type(one) for one in await both(here, there, OTHER_KEY)] == [KeyMismatch, KeyMismatch]
        await shut(here)
        await shut(there)

    run(scene())


class Recorder:
    """A writer that remembers what was written first."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.first = b""
        self._writer = writer

    def write(self, data: bytes) -> None:
        self.first = self.first or data
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()


@pytest.mark.usefixtures("quick")
def test_each_side_of_each_connection_throws_in_16_bytes_of_its_own(run: Run) -> None:
    async def scene() -> None:
        nonces = set()
        for _ in range(2):
            ends = await joined()
            recorders = [Recorder(writer) for _, writer in ends]
            await asyncio.gather(
                *(
                    open_stream(reader, recorder, KEY, role)
                    for (reader, _), recorder, role in zip(ends, recorders, Role, strict=True)
                )
            )
            for recorder, kind in zip(recorders, (Kind.CLIENT_HELLO, Kind.SERVER_HELLO), strict=True):
                head, nonce = recorder.first[:HEADER_BYTES], recorder.first[HEADER_BYTES:]
                assert (head, len(nonce)) == (header(kind, 16), 16)
                nonces.add(nonce)
            for end in ends:
                await shut(end)
        assert len(nonces) == 4

    run(scene())


@pytest.mark.usefixtures("quick")
def test_a_key_is_derived_once_for_each_side_of_a_connection_whatever_is_said_on_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    salts = []

    def counted(secret: bytes, salt: bytes) -> Keys:
        salts.append(salt)
        return derive(secret, salt)

    monkeypatch.setattr("plugin_host.seal.derivation.derive", counted)

    async def scene() -> None:
        for number in (1, 2):
            here, there = await joined()
            client, server = await both(here, there)
            assert isinstance(client, SealedStream)
            assert isinstance(server, SealedStream)
            for _ in range(5):
                await write_message(client, b"ask")
                assert await read_message(server) == b"ask"
                await write_message(server, b"answer")
                assert await read_message(client) == b"answer"
            await client.end()
            assert await read_message(server) is None
            assert (len(salts), len(set(salts))) == (2 * number, number), "one salt for both sides"
            await shut(here)
            await shut(there)

    run(scene())


class CountingPool(ThreadPoolExecutor):
    """Counts what it is given; there is a thread for everything."""

    count = 0

    def submit(self, *arguments: Any, **more: Any) -> Future[Any]:
        self.count += 1
        return super().submit(*arguments, **more)


def test_four_keys_are_derived_at_once_and_no_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr("plugin_host.seal.derivation.derive", lambda secret, salt: gate.wait(10))

    async def scene() -> None:
        pool = CountingPool(20)
        asyncio.get_running_loop().set_default_executor(pool)
        tasks = [asyncio.ensure_future(derive_beside(b"", b"")) for _ in range(12)]
        tasks[0].cancel()  # before it has begun: that takes no place
        for _ in range(50):
            await asyncio.sleep(0)
        assert pool.count == 4
        tasks[1].cancel()  # the work goes on, and its place is taken
        for _ in range(50):
            await asyncio.sleep(0)
        assert pool.count == 4
        gate.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(one, BaseException) for one in done] == [True] * 2 + [False] * 10
        assert pool.count == 11

    run(scene())
