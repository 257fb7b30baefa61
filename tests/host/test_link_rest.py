"""A link that is to slow down rests between its reads, and hears everything all the same."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import Any

from plugin_host.link import Link
from tests.linked import Owner, PluginEnd, linked
from tests.run import Run
from tests.wait import WaitUntil


def burden(link: Link, owner: Owner) -> None:
    """Every notification is too much."""
    told = owner.notified

    def notified(method: str, params: Any) -> None:
        told(method, params)
        link.slow_down()

    owner.notified = notified  # type: ignore[method-assign]


def is_resting(link: Link) -> bool:
    return link._rest is not None and not link._rest.cancelled() and link._rest.when() > time.monotonic()


async def say(plugin: PluginEnd, count: int) -> None:
    await plugin.send(plugin.connection.send_notification("log", {"message": "x"}) * count)


def test_everything_is_heard_with_rests_between(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            burden(link, owner)
            begun = time.monotonic()
            await say(plugin, 10_000)
            await wait_until.aio(lambda: len(owner.notices) == 10_000)
            assert time.monotonic() - begun > 0.01  # ten rests and more
            msgid, answer = link.request("work", {})
            await plugin.request()
            await plugin.answer(msgid, 7)
            assert await answer == 7

    run(body())


def test_single_message_is_followed_by_a_rest_too(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            burden(link, owner)
            for count in (1, 2, 3):
                await say(plugin, 1)
                await wait_until.aio(functools.partial(lambda n: len(owner.notices) == n, count))
                assert link._rest is not None

    run(body())


def test_link_that_ends_at_rest_stays_ended(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            burden(link, owner)
            await say(plugin, 1)
            await wait_until.aio(lambda: owner.notices != [])
            link.close()
            assert not is_resting(link)
            await asyncio.sleep(0.005)
            assert link.is_over

    run(body())


def test_what_arrived_before_the_end_is_read_without_rest(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            burden(link, owner)
            await say(plugin, 1000)
            plugin.socket.close()
            link.drain()
            assert len(owner.notices) == 1000
            assert len(owner.ends) == 1
            assert not is_resting(link)

    run(body())


def test_plugin_that_is_being_stopped_is_heard_without_rest(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            burden(link, owner)
            _, answer = link.request("shutdown", {})
            answer.cancel()
            await plugin.request("shutdown")
            await say(plugin, 100)
            await wait_until.aio(lambda: len(owner.notices) == 100)
            assert link._rest is None

    run(body())
