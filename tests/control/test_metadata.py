"""The metadata of a host, as its clients read, change and watch it."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from plugin_host import CallFailed, InvalidPayload, Metadata, MetadataNotFound
from plugin_host.control.remotemetadata import RemoteMetadata
from plugin_host.errors import HostLost
from tests.control.arena import arena
from tests.run import Run
from tests.wait import WaitUntil


def test_clients_read_and_change_what_the_host_has(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            ours, theirs = scene.host.metadata, (await scene.client()).metadata
            value = {"name": "nightly", "blob": b"\xff", "list": [1, None, 2.5]}
            version = await theirs.set("/task", value)
            assert (ours.get("/task"), ours.look("/task").version) == (value, version)
            assert await theirs.get("/task/blob") == b"\xff"
            assert await theirs.look("/task", recursive=False) == ours.look("/task", recursive=False)
            assert await theirs.look("/nothing") == ours.look("/nothing")
            await theirs.delete("/task/name")
            assert "name" not in ours.get("/task")
            for work in (theirs.get("/nothing"), theirs.delete("/nothing")):
                with pytest.raises(MetadataNotFound):
                    await work
            with pytest.raises(InvalidPayload):
                await theirs.set("nothing", 1)
            with pytest.raises(CallFailed, match=r"^cannot send path: text that is not Unicode"):
                await theirs.set("/\udcff", 1)
            with pytest.raises(CallFailed, match="value"):
                await (await scene.client()).ask("metadata.set", {"path": "/x"})

    run(body())


def test_a_change_is_waited_for(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            ours, theirs = scene.host.metadata, (await scene.client()).metadata
            version = ours.set("/a", 1)
            waiting = asyncio.create_task(theirs.wait_for_change("/a", last=version))
            assert (await theirs.wait_for_change("/a", last=version, timeout=0.01)).value == 1
            ours.set("/a", 2)
            assert (await waiting).value == 2
            assert (await theirs.wait_for_change("/a", last=version)).value == 2

    run(body())


def test_a_watcher_is_told_what_there_is_and_what_comes(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            ours, theirs = scene.host.metadata, (await scene.client()).metadata
            async with await theirs.watch("/a") as changes:
                assert not (await anext(changes)).exists
                version = ours.set("/a", {"b": b"\x00"})
                assert (await anext(changes)).value == {"b": b"\x00"}
            async with await theirs.watch("/a", last=version) as changes:
                ours.delete("/a")
                assert not (await anext(changes)).exists
            with pytest.raises(InvalidPayload):
                await theirs.watch("a")

    run(body())


def test_a_watcher_that_does_not_read_is_told_the_newest_and_costs_nothing(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            ours, client, other = scene.host.metadata, await scene.client(), await scene.client()
            changes, live = await client.metadata.watch("/a"), await other.metadata.watch("/a")
            seen = 0
            for number in range(200):
                ours.set("/a", [number, "x" * 10_000])
                while (await anext(live)).value != [number, "x" * 10_000]:
                    pass
            async for entry in changes:
                seen += 1
                if entry.exists and entry.value[0] == 199:
                    break
            assert seen < 30, "a window, and what is under way"
            await client.close()
            await changes.close()
            await live.close()
            await wait_until.aio(_async(lambda: not ours._waiters))

    run(body())


def test_a_watch_ends_with_its_client(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            changes = [await client.metadata.watch("/a") for _ in range(64)]
            with pytest.raises(CallFailed, match="64") as refused:
                await client.metadata.watch("/a")
            assert refused.value.name == "rpc.busy"
            await changes[0].close()
            await wait_until.aio(_async(lambda: len(scene.host.metadata._waiters) == 63))
            await client.close()
            with pytest.raises(HostLost):
                [one async for one in changes[1]]
            await wait_until.aio(_async(lambda: not scene.host.metadata._waiters))

    run(body())


def test_the_face_is_that_of_a_host_of_ones_own() -> None:
    for name, function in inspect.getmembers(Metadata, inspect.isfunction):
        if name.startswith("_") or name in ("begin_with", "fill"):
            continue
        remote = inspect.signature(getattr(RemoteMetadata, name))
        assert remote.parameters.keys() == inspect.signature(function).parameters.keys(), name


def _async(condition: Any) -> Any:
    async def holds() -> bool:
        return bool(condition())

    return holds
