"""Large answers: a client that reads gets all of them, one that does not is dropped in bounded memory."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import psutil
import pytest

from plugin_host import patience, writer
from plugin_host_sdk.events import ErrorReceived, Event, ResponseReceived
from tests.control.arena import Arena, RawClient, arena
from tests.effort import by_effort
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = [pytest.mark.edges, pytest.mark.deadline(60)]

MIB = 1024 * 1024

CODE = """
    @plugin.command("blob")
    def blob(ctx, size: int):
        return b"x" * size
"""

# In a process of its own, as clients are: the host's loop writes while the client reads.
CLIENT = """
import asyncio, sys
from plugin_host.control import connect

async def main():
    path, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    async with await connect(path) as client:
        session = await client.exec("desk", ["sleep", "60"], tty=False)
        calls = [client.call("desk", "blob", {"size": size}) for _ in range(count)]
        assert [len(one) for one in await asyncio.gather(*calls)] == [size] * count
        assert (await session.get()).exit is None

asyncio.run(main())
"""


def ask_for_blob(msgid: int, size: int, **more: Any) -> bytes:
    params = {"plugin": "desk", "command": "blob", "params": {"size": size}}
    data: bytes = msgpack.packb([0, msgid, "host.call", [params | more]])
    return data


async def answers(client: RawClient, count: int) -> list[Event]:
    """Read until so many requests are answered."""
    found: list[Event] = []
    while len(found) < count:
        events = await client.events()
        found += [one for one in events if isinstance(one, (ResponseReceived, ErrorReceived))]
    return found


@pytest.mark.parametrize(
    ("count", "size"),
    [(2, 5_000_000), (by_effort(4, 24), 15_000_000), (64, 200_000), (500, 20_000)],
)
def test_client_that_reads_loses_nothing(
    tmp_path: Path, own_socket: str, run: Run, count: int, size: int
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, code=CODE) as scene:
            client = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CLIENT, own_socket, str(count), str(size)
            )
            assert await client.wait() == 0
            assert not [one for one in scene.host.logs.records() if "dropped" in one.message]

    run(body())


def test_client_that_asks_first_and_reads_then_gets_all(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, code=CODE) as scene:
            client = await scene.raw()
            await client.initialize()
            client.connection.pending |= dict.fromkeys(range(1, 41), "host.call")
            for msgid in range(1, 21):
                await client.send(ask_for_blob(msgid, MIB))
            (desk,) = scene.server.desks()
            await wait_until.aio(lambda: desk.link.is_full)
            for msgid in range(21, 41):
                await client.send(ask_for_blob(msgid, MIB))
            await wait_until.aio(lambda: len(desk._holdback) == 20)
            given = await answers(client, 40)
            assert {len(one.result["result"]) for one in given if isinstance(one, ResponseReceived)} == {
                MIB
            }
            assert len(given) == 40
            assert not desk.link.is_full

    run(body())


def stopped(
    run: Run, folder: Path, path: str, ask: Callable[[RawClient, Arena], Any], most: int = 100 * MIB
) -> str:
    """Why a client is dropped that asks and never reads, beside one that reads; and in how much memory."""
    said: list[str] = []

    async def body() -> None:
        async with arena(folder, path, code=CODE) as scene:
            good, bad = await scene.client(), await scene.raw()
            await bad.initialize()
            before = psutil.Process().memory_info().rss
            asking = asyncio.create_task(ask(bad, scene))
            largest = 0
            while len(scene.server.desks()) > 1:
                assert await good.call("desk", "echo", {"value": "unmoved"}) == "unmoved"
                largest = max(largest, psutil.Process().memory_info().rss - before)
            asking.cancel()
            await asyncio.wait({asking})
            assert largest < most, f"the host grew by {largest} bytes"
            said.append([one.message for one in scene.host.logs.records() if one.source == "host"][-1])

    run(body())
    return said[0]


def test_client_that_never_reads_is_dropped_and_the_host_stays_small(
    tmp_path: Path, own_socket: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand requests at once, each for more than may wait."""
    monkeypatch.setattr(writer, "LOOK_S", 0.1)
    monkeypatch.setattr(patience, "MOST_BYTES", 16 * MIB)

    async def ask(client: RawClient, scene: Arena) -> None:
        for msgid in range(1, 1001):
            await client.send(ask_for_blob(msgid, 5 * MIB))

    told = stopped(run, tmp_path, own_socket, ask)
    assert "was dropped: the client does not read: it has taken nothing for 10 s, and " in told


def test_requests_of_a_client_that_never_reads_are_not_read_either(
    tmp_path: Path, own_socket: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its requests is as large as an answer: they wait at the client, and not in the host."""
    monkeypatch.setattr(writer, "LOOK_S", 0.2)
    sent = 0

    async def ask(client: RawClient, scene: Arena) -> None:
        nonlocal sent
        for msgid in range(1, 11):
            await client.send(ask_for_blob(msgid, MIB))
        for msgid in range(11, 1001):
            await client.send(ask_for_blob(msgid, 1, trash=b"x" * 4 * MIB))
            sent += 1

    told = stopped(run, tmp_path, own_socket, ask, most=150 * MIB)
    assert "does not read" in told
    assert sent < 40
