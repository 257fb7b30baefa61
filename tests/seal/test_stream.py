"""Sealed messages over streams of asyncio."""

from __future__ import annotations

import asyncio
import socket

import pytest

from plugin_host.errors import KeyMismatch, SealTruncated
from plugin_host.seal import Role, SealedStream, open_stream, read_message, write_message
from plugin_host.seal.derivation import derive_beside
from tests.run import Run
from tests.seal.pair import KEY, OTHER_KEY

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


def test_few_keys_are_derived_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading
    import time

    running, most, lock = 0, 0, threading.Lock()

    def derive(secret: bytes, salt: bytes) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    monkeypatch.setattr("plugin_host.seal.derivation.derive", derive)

    async def scene() -> None:
        await asyncio.gather(*(derive_beside(b"", b"") for _ in range(12)))

    run(scene())
    assert 1 <= most <= 4
