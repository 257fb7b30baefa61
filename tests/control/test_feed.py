"""What clients follow: logs and events, under credit, to their end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from plugin_host.control.follower import Follower
from plugin_host.errors import CallFailed, HostLost, PluginNotFound
from plugin_host.event import PluginNotified
from plugin_host.logbook import LogRecord
from tests.control.arena import Arena, arena
from tests.run import Run
from tests.wait import WaitUntil


def record(message: str, level: str = "info", **more: Any) -> LogRecord:
    return LogRecord(at=1.5, plugin="desk", level=level, message=message, **more)


async def until(told: Follower[dict[str, Any]], name: str) -> dict[str, Any]:
    """The next event of that name."""
    async for event in told:
        if event["event"] == name:
            return event
    raise AssertionError(f"the end came before {name}")


def followed(scene: Arena) -> int:
    """How many streams the host keeps for those who follow."""
    return len(scene.host.logs._streams) + len(scene.host._events._streams)


def test_a_client_is_told_what_is_kept_and_what_comes(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client, book = await scene.client(), scene.host.logs
            book.put(record("one", fields={"blob": b"\xff", "n": {1: None}}))
            book.put(record("two", "error", source="stderr"))
            async with await client.logs("desk", tail=2) as told:
                assert [one async for one in told] == book.records()[-2:]
            async with await client.logs(level="error", follow=True) as told:
                assert (await anext(told)).message == "two"
                book.put(record("not so bad"))
                book.put(record("three", "critical"))
                assert (await anext(told)).message == "three"
                assert followed(scene) == 1
                told._lines.append(b"{}")  # read, and not taken yet
            with pytest.raises(StopAsyncIteration):
                await anext(told)
            assert not client._followers
            await wait_until.aio(_async(lambda: followed(scene) == 0))
            with pytest.raises(PluginNotFound, match="desk"):
                await client.logs("dask")
            with pytest.raises(CallFailed, match="debug, info"):
                await client.logs(level="shout")
            assert followed(scene) == 0

    run(body())


def test_sessions_of_all_clients_and_changes_of_state_are_events(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            one, other = await scene.client(), await scene.client()
            async with await one.events(tail=None) as told, await other.events() as live:
                assert (await anext(told))["old"] == "discovered"
                session = await other.exec("desk", ["sh", "-c", "exit 3"], tty=False)
                opened, ended = await until(told, "session_opened"), await until(told, "session_ended")
                assert opened["session"] == ended["session"] == session.id
                assert opened["command"] == ["sh", "-c", "exit 3"]
                assert ended["exit"]["code"] == 3
                assert await anext(live) == opened
                doomed = await other.exec("desk", ["sleep", "60"])
                await until(told, "session_opened")
                with pytest.raises(Exception, match="died"):
                    await other.call("desk", "die")
                death, moved = await until(told, "death"), await until(told, "state")
                assert death["report"]["sessions"] == [doomed.id]
                assert moved["error"]["type"] == "PluginDied"
                lost = await until(told, "session_ended")
                assert (lost["session"], lost["exit"]) == (doomed.id, None)
            async with await one.events(tail=2, follow=False) as told:
                assert [event["event"] async for event in told][-1] == "session_ended"

    run(body())


@pytest.mark.edges
def test_a_client_that_does_not_read_costs_a_bounded_queue_and_is_told_what_it_lost(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            async with await client.events() as told:
                for number in range(12_000):
                    scene.host._emit(PluginNotified(plugin="desk", method="count", params=[number]))
                (stream,) = scene.host._events._streams
                assert len(stream._waiting) == 10_000
                seen = []
                lost = 0
                async for event in told:
                    if event["event"] == "lost":
                        lost += event["count"]
                    else:
                        seen.append(event["params"][0])
                        if seen[-1] == 11_999:
                            break
                assert lost == 12_000 - len(seen) > 0
                assert seen == sorted(seen)

    run(body())


def test_a_subscription_ends_with_the_host_and_fails_with_the_connection(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            told = await client.logs(tail=0, follow=True)
            waiting = asyncio.create_task(_first(told))
            await asyncio.sleep(0)
            await client.close()
            with pytest.raises(HostLost):
                await waiting
            other = await scene.client()
            logs, events = await other.logs(tail=0, follow=True), await other.events()
            await scene.host.close()
            assert [one["new"] async for one in events][-1] == "stopped"
            assert all(one.source == "host" for one in [one async for one in logs])
            assert followed(scene) == 0

    run(body())


def test_nothing_is_kept_for_a_client_that_has_gone(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            for _ in range(32):
                await client.logs(follow=True)
                await client.events()
            assert followed(scene) == 64
            with pytest.raises(CallFailed, match="64 streams") as refused:
                await client.events()
            assert refused.value.name == "rpc.busy"
            await client.close()
            await wait_until.aio(_async(lambda: followed(scene) == 0))

    run(body())


@pytest.mark.parametrize("params", [{"stream": 2}, {"stream": 2, "window": 0}, {"window": 5, "stream": -1}])
def test_a_stream_must_be_named_with_its_window(
    tmp_path: Path, own_socket: str, run: Run, params: dict[str, int]
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            for method in ("host.logs", "host.events"):
                with pytest.raises(CallFailed) as refused:
                    await client.ask(method, {**params, "follow": True})
                assert refused.value.name == "rpc.invalid_params"
            assert followed(scene) == 0

    run(body())


def test_metrics_come_as_numbers_and_as_text(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            await client.call("desk", "work")
            figures = (await client.metrics())["plugins"]["desk"]
            assert figures["calls"]["work"]["finished"] == 1
            assert figures["usage"]["memory_bytes"] > 0
            text = await client.metrics_text()
            assert 'plugin_host_calls_started_total{command="work",plugin="desk"} 1.0' in text
            with pytest.raises(CallFailed, match="format"):
                await client.ask("host.metrics", {"format": "xml"})

    run(body())


async def _first(told: Follower[LogRecord]) -> LogRecord:
    return await anext(told)


def _async(condition: Any) -> Any:
    async def holds() -> bool:
        return bool(condition())

    return holds
