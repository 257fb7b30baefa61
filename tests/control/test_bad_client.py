"""Clients that do what no client should: each is dropped alone, with a reason in the log."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgpack
import psutil
import pytest

from plugin_host.control import server as server_module
from plugin_host_sdk.protocol import INITIALIZE_ID, PENDING_REQUESTS
from tests.control.arena import Arena, RawClient, arena
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

HELLO = msgpack.packb([0, INITIALIZE_ID, "initialize", [{"protocols": [1]}]])
Misdeed = Callable[[RawClient], Awaitable[None]]


async def nothing(client: RawClient) -> None:
    pass


async def half_a_greeting(client: RawClient) -> None:
    await client.send(HELLO[:10])


async def garbage(client: RawClient) -> None:
    await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


async def impatience(client: RawClient) -> None:
    await client.send(msgpack.packb([0, 1, "host.status", [{}]]))


async def four_gibibytes(client: RawClient) -> None:
    await client.send(HELLO + b"\xc6" + struct.pack(">I", 2**32 - 1))  # and nothing behind it


async def deep_nesting(client: RawClient) -> None:
    await client.send(HELLO + b"\x94\x00\x01\xa4ping\x91" + b"\x91" * 100_000)


async def a_request_sent_twice(client: RawClient) -> None:
    ask = msgpack.packb([0, 7, "host.call", [{"plugin": "desk", "command": "wait"}]])
    await client.send(HELLO + ask + ask)


async def a_frame_of_no_stream(client: RawClient) -> None:
    await client.send(HELLO + msgpack.packb([2, "stream.data", [-4, 0, b"x"]]))


async def frames_beyond_the_credit(client: RawClient) -> None:
    create = {"plugin": "desk", "id": "x", "tty": False, "command": ["sleep", "60"], "stdin": 2}
    await client.send(HELLO + msgpack.packb([0, 1, "exec.create", [create]]))
    offset = 0
    while True:
        await client.send(msgpack.packb([2, "stream.data", [2, offset, b"x" * 65_536]]))
        offset += 65_536


async def an_answer_nobody_asked_for(client: RawClient) -> None:
    await client.send(HELLO + msgpack.packb([1, 99, None, {}]))


async def deafness(client: RawClient) -> None:
    await client.send(HELLO)
    ask = msgpack.packb([0, 0, "host.call", [{"plugin": "desk", "command": "echo"}]])
    number = 0
    while True:  # answers pile up until they are too many
        number += 1
        value = {"plugin": "desk", "command": "echo", "params": {"value": b"x" * 60_000}}
        ask = msgpack.packb(
            [0, number % PENDING_REQUESTS + number // PENDING_REQUESTS, "host.call", [value]]
        )
        await client.send(ask)


MISDEEDS = [
    nothing,
    half_a_greeting,
    garbage,
    impatience,
    four_gibibytes,
    deep_nesting,
    a_request_sent_twice,
    a_frame_of_no_stream,
    frames_beyond_the_credit,
    an_answer_nobody_asked_for,
    deafness,
]


@pytest.mark.parametrize("misdeed", MISDEEDS, ids=lambda one: one.__name__)
def test_it_alone_is_dropped_with_a_reason(
    misdeed: Misdeed,
    tmp_path: Path,
    own_socket: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wait_until: WaitUntil,
) -> None:
    monkeypatch.setattr(server_module, "_GREETING_S", 0.5)
    monkeypatch.setenv("PLUGIN_HOST_WARM", "0")  # forked children come and go, and descriptors are counted
    process = psutil.Process()

    def reasons() -> list[str]:
        texts = [record.getMessage() for record in caplog.records]
        return [text for text in texts if "was dropped: " in text]

    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            good = await scene.client("good")
            await good.call("desk", "echo")
            before = process.memory_info().rss, len(os.listdir("/proc/self/fd"))
            bad = await scene.raw()
            doing = asyncio.create_task(_do(misdeed, bad))
            await wait_until.aio(lambda: bool(reasons()))
            await asyncio.wait({doing}, timeout=5)
            assert doing.done()
            bad.close()
            assert await good.call("desk", "echo", {"value": "as ever"}) == "as ever"
            await wait_until.aio(lambda: len(scene.server._desks) == 1)
            await wait_until.aio(lambda: _only_sessions_of(scene, 0))
            (told,) = [one.message for one in scene.host.logs.records() if one.source == "host"][-1:]
            assert "was dropped: " in told
            grown = process.memory_info().rss - before[0]
            assert grown < 128 * 1024 * 1024, f"the host grew by {grown} bytes"
            await wait_until.aio(lambda: len(os.listdir("/proc/self/fd")) <= before[1])

    run(body())
    (reason,) = reasons()
    assert f"pid {os.getpid()}" in reason
    assert "good" not in reason
    assert "the host" not in reason, "it is the client that is at fault"


async def _do(misdeed: Misdeed, client: RawClient) -> None:
    try:
        await misdeed(client)
    except OSError:
        pass  # the host has hung up


async def _only_sessions_of(scene: Arena, count: int) -> bool:
    return len([one for one in await scene.host.sessions() if one.exit is None]) == count


def test_more_requests_than_one_client_may_have_are_refused_as_busy(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            greedy, modest = await scene.client(), await scene.client()
            calls = [asyncio.create_task(greedy.call("desk", "wait")) for _ in range(1024)]
            await asyncio.sleep(0)
            refused = await asyncio.gather(greedy.call("desk", "wait"), return_exceptions=True)
            assert getattr(refused[0], "name", None) == "rpc.busy"
            assert (await modest.status())["plugins"] == {"ready": 1}
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            assert (await greedy.status())["plugins"] == {"ready": 1}

    run(body())


def test_a_hundred_that_say_nothing_do_not_keep_others_out(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            for _ in range(100):
                await scene.raw()
            assert await (await scene.client()).call("desk", "echo", {"value": 1}) == 1

    run(body())


def test_who_says_nothing_gives_its_place_to_the_next_when_there_is_no_other(
    tmp_path: Path, own_socket: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_CLIENTS", 3)

    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            first = await scene.client()
            silent = [await scene.raw() for _ in range(4)]
            for one in silent[:2]:
                await one.ended()
            second, third = await scene.client(), await scene.client()
            for one in silent[2:]:
                await one.ended()
            for client in (first, second, third):
                assert await client.call("desk", "echo", {"value": 1}) == 1
            told = {one.message for one in scene.host.logs.records() if one.source == "host"}
            assert any("had not said who it is when its place was needed" in text for text in told)

    run(body())


def test_one_too_many_is_turned_away_and_whoever_reads_the_hosts_logs_knows(
    tmp_path: Path, own_socket: str, run: Run, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(server_module, "_CLIENTS", 1)

    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            await scene.client()
            await (await scene.raw()).ended()
            (told,) = [one.message for one in scene.host.logs.records() if one.source == "host"]
            assert "was turned away: 1 are connected" in told

    run(body())
