"""Streams of events: their order, their end, and what a slow listener is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from plugin_host.event import EventHub, EventsLost, HostEvent, PluginNotified
from tests.run import Run


def event(number: int) -> PluginNotified:
    return PluginNotified(plugin="demo", method="count", params=[number])


async def all_of(stream: AsyncIterator[HostEvent]) -> list[HostEvent]:
    return [one async for one in stream]


def test_every_stream_gets_every_event_since_it_was_opened(run: Run) -> None:
    async def body() -> None:
        hub = EventHub()
        first = hub.open()
        hub.put(event(1))
        second = hub.open()
        hub.put(event(2))
        hub.close()
        assert await all_of(first) == [event(1), event(2)]
        assert await all_of(second) == [event(2)]

    run(body())


def test_a_listener_that_waits_is_woken_by_an_event_and_by_the_end(run: Run) -> None:
    async def body() -> None:
        hub = EventHub()
        listening = asyncio.create_task(all_of(hub.open()))
        await asyncio.sleep(0)
        hub.put(event(1))
        await asyncio.sleep(0)
        hub.close()
        assert await listening == [event(1)]

    run(body())


def test_a_closed_stream_ends_and_gets_nothing_more(run: Run) -> None:
    async def body() -> None:
        hub = EventHub()
        stream = hub.open()
        stream.close()
        hub.put(event(1))
        assert await all_of(stream) == []

    run(body())


def test_a_stream_opened_after_the_end_has_ended(run: Run) -> None:
    async def body() -> None:
        hub = EventHub()
        hub.close()
        assert await all_of(hub.open()) == []

    run(body())


def test_a_slow_listener_loses_the_oldest_and_is_told_how_many(run: Run) -> None:
    async def body() -> None:
        hub = EventHub()
        stream = hub.open()
        for number in range(10_003):
            hub.put(event(number))
        hub.close()
        lost, *kept = await all_of(stream)
        assert lost == EventsLost(plugin="demo", count=3)
        assert kept == [event(number) for number in range(3, 10_003)]

    run(body())


def test_the_newest_are_kept_for_those_who_ask_later() -> None:
    hub = EventHub()
    for number in range(300):
        hub.put(event(number))
    assert hub.recent == [event(number) for number in range(100, 300)]


def test_big_events_are_bounded_by_their_size(run: Run) -> None:
    async def body() -> None:
        hub = EventHub()
        stream = hub.open()
        for _ in range(30):
            hub.put(PluginNotified(plugin="demo", method="blob", params=b"x" * 1_000_000))
        hub.close()
        lost, *kept = await all_of(stream)
        assert isinstance(lost, EventsLost)
        assert lost.count + len(kept) == 30
        assert len(kept) == 16
        assert len(hub.recent) == 1

    run(body())
