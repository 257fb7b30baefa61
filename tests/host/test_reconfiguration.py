"""What the host makes of a plugin's answer to new settings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from plugin_host.errors import CallFailed, CallTimeout
from plugin_host.reconfiguration import reconfigure
from plugin_host_sdk.events import CancelReceived, RequestReceived
from tests.linked import PluginEnd, linked
from tests.run import Run

NEW = {"level": 2}
BAD: dict[str, Any] = {"level": object()}


async def asked(plugin: PluginEnd) -> RequestReceived:
    request = await plugin.request("reconfigure")
    assert request.params == {"settings": NEW}
    return request


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [({}, "applied"), ({"restart": True}, "restart"), ({"restart": False, "more": 1}, "applied")],
)
def test_answer_says_what_came_of_it(run: Run, answer: dict[str, Any], outcome: str) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            task = asyncio.create_task(reconfigure(link, NEW, 5))
            request = await asked(plugin)
            assert request.meta == {"timeout_ms": 5000}
            await plugin.answer(request.msgid, answer)
            assert await task == outcome

    run(body())


def test_refusal_says_why(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            task = asyncio.create_task(reconfigure(link, NEW, 5))
            request = await asked(plugin)
            error = CallFailed("not now", name="reconfigure.refused", data={"status": 7})
            await plugin.send(plugin.connection.send_error(request.msgid, error.to_map()))
            with pytest.raises(CallFailed, match="not now") as caught:
                await task
            assert (caught.value.name, caught.value.data) == ("reconfigure.refused", {"status": 7})

    run(body())


def test_peer_that_does_not_know_the_method_is_to_be_restarted(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            task = asyncio.create_task(reconfigure(link, NEW, 5))
            request = await asked(plugin)
            error = CallFailed("no method", name="rpc.method_not_found")
            await plugin.send(plugin.connection.send_error(request.msgid, error.to_map()))
            assert await task == "restart"

    run(body())


def test_raw_peer_is_to_be_restarted_and_hears_nothing(run: Run) -> None:
    async def body() -> None:
        async with linked(raw=True) as (link, _, _owner):
            assert await reconfigure(link, NEW, 5) == "restart"
            assert link.in_flight == 0

    run(body())


def test_odd_answer_is_a_failure(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            task = asyncio.create_task(reconfigure(link, NEW, 5))
            await plugin.answer((await asked(plugin)).msgid, ["restart"])
            with pytest.raises(CallFailed, match="answered with \\['restart'\\], not a map"):
                await task

    run(body())


def test_silence_ends_at_the_deadline_and_the_plugin_is_told(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            with pytest.raises(CallTimeout, match=r"did not take its new settings within 0\.05 s"):
                await reconfigure(link, NEW, 0.05)
            await plugin.expect(CancelReceived)

    run(body())


def test_caller_that_gives_up_cancels(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            task = asyncio.create_task(reconfigure(link, NEW, 5))
            await asked(plugin)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await plugin.expect(CancelReceived)
            assert link.in_flight == 0

    run(body())


def test_settings_that_cannot_travel_are_refused_unsent(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, _, _owner):
            with pytest.raises(CallFailed, match="level"):
                await reconfigure(link, BAD, 5)
            assert link.in_flight == 0

    run(body())
