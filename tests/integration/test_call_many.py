"""Calling a command many times at once: order, failures, and what is left of a batch that ends early."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from plugin_host import CallFailed, CallTimeout, PluginDied
from plugin_host.batch import IN_FLIGHT
from tests.run import Run
from tests.stage import link_of, stage
from tests.syncstage import blocking
from tests.wait import WaitUntil


def test_results_have_the_order_of_the_parameters_and_none_is_lost(run: Run) -> None:
    count = 5 * IN_FLIGHT + 7
    taken = []

    def source() -> Iterator[dict[str, Any]]:
        for number in range(count):
            taken.append(number)
            yield {"value": number}

    async def body() -> None:
        async with stage("obliging") as host:
            assert await host.call_many("obliging", "echo", source()) == list(range(count))
            assert taken == list(range(count))
            assert await host.call_many("obliging", "echo", []) == []
            assert await host.call_many("obliging", "echo", [None, {"value": [1, {"a": b"b"}]}]) == [
                None,
                [1, {"a": b"b"}],
            ]
            row = (await host.metrics())["plugins"]["obliging"]["calls"]["echo"]
            assert (row["started"], row["finished"], row["failures"]) == (count + 2, count + 2, {})

    run(body())


def test_parameters_are_taken_as_there_is_room_for_them(run: Run) -> None:
    async def body() -> None:
        async with stage("obliging") as host:
            most = 0

            def source() -> Iterator[dict[str, Any]]:
                nonlocal most
                for number in range(3 * IN_FLIGHT):
                    most = max(most, link_of(host, "obliging").in_flight)
                    yield {"value": number}

            await host.call_many("obliging", "echo", source())
            assert most <= IN_FLIGHT

    run(body())


def test_first_failure_is_raised_with_its_place_and_cancels_the_others(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with stage("obliging") as host:
            many = [{"name": "Ada"}, {"nome": "Ada"}, *[{"name": str(number)} for number in range(1000)]]
            with pytest.raises(CallFailed, match="unknown parameter 'nome'") as caught:
                await host.call_many("obliging", "greet", many)
            assert caught.value.__notes__ == ["call 1 of the batch"]
            link = link_of(host, "obliging")
            assert link.in_flight == 0
            await wait_until.aio(lambda: not link.connection.pending and not link.connection.abandoned)
            assert await host.call("obliging", "echo", {"value": 1}) == 1

    run(body())


def test_failures_stand_in_the_list_where_that_is_asked_for(run: Run) -> None:
    async def body() -> None:
        async with stage("obliging") as host:
            many = [{"value": 1}, {"nope": 1}, {"value": object()}, {"value": 2}, {"value": {(1, 2): 3}}]
            first, second, third, fourth, fifth = await host.call_many(
                "obliging", "echo", many, return_exceptions=True
            )
            assert (first, fourth) == (1, 2)
            assert isinstance(second, CallFailed)
            assert second.name == "command.bad_request"
            assert isinstance(third, CallFailed)
            assert third.name == "rpc.not_encodable"
            assert isinstance(fifth, CallFailed)
            own = await host.call_many("obliging", "own", [{"status": 7}, {}], return_exceptions=True)
            assert [error.code for error in own] == [7, own[1].code]

    run(body())


async def proved(host: Any, command: str, params: dict[str, Any]) -> None:
    """Call it until its plugin takes it for quick."""
    link = link_of(host, "obliging")
    for _ in range(200):
        _, answer = link.request("command.call_many", {"name": command, "many": [params]})
        if (await answer)["results"]:
            return
        for _ in range(10):
            await host.call("obliging", command, params)
    raise AssertionError(f"{command} does not prove quick")


def test_calls_of_a_quick_command_share_requests_and_are_the_same(run: Run) -> None:
    async def body() -> None:
        async with stage("obliging") as host:
            await proved(host, "echo", {"value": 0})
            before = (await host.metrics())["plugins"]["obliging"]["calls"]["echo"]
            requests: list[str] = []
            connection = link_of(host, "obliging").connection
            send = connection.send_request

            def noted(method: str, *rest: Any) -> tuple[int, bytes]:
                requests.append(method)
                return send(method, *rest)

            connection.send_request = noted  # type: ignore[assignment,method-assign]
            many: list[dict[str, Any]] = [{"value": number} for number in range(2000)]
            assert await host.call_many("obliging", "echo", many) == list(range(2000))
            assert requests.count("command.call_many") >= 1
            assert len(requests) < 1000
            many[500] = {"nope": 1}
            many[700] = {"value": {(1, 2): 3}}
            many[900] = {"value": [1, {"a": b"b"}]}
            ended = await host.call_many("obliging", "echo", many, return_exceptions=True)
            assert [index for index, one in enumerate(ended) if one != index] == [500, 700, 900]
            assert ended[900] == [1, {"a": b"b"}]
            assert str(ended[500]).count("obliging echo") == 1
            assert ended[700].name == "rpc.not_encodable"
            with pytest.raises(CallFailed, match="unknown parameter 'nope'") as caught:
                await host.call_many("obliging", "echo", many)
            assert caught.value.__notes__ == ["call 500 of the batch"]
            row = (await host.metrics())["plugins"]["obliging"]["calls"]["echo"]
            assert row["started"] == row["finished"]
            assert row["started"] - before["started"] >= 4501
            assert row["failures"].pop("rpc.not_encodable") in (1, 2)  # the first failure ends a batch
            assert row["failures"] == {"command.bad_request": 2}

    run(body())


def test_failures_of_calls_that_share_a_request_say_what_single_ones_do(run: Run) -> None:
    async def body() -> None:
        async with stage("obliging") as host:
            (alone,) = await host.call_many("obliging", "own", [{"status": 7}], return_exceptions=True)
            many = [{"status": 7, "message": "why", "fields": {"a": 1}}] * 300
            ended = await host.call_many("obliging", "own", many, return_exceptions=True)
            assert {(str(one), one.code, one.name) for one in ended} == {
                ("obliging own: why", 7, "command.failed")
            }
            assert ended[-1].data == {"a": 1}
            assert (alone.code, str(alone)) == (7, "obliging own: ended with status 7")

    run(body())


def test_time_limit_is_one_for_all(run: Run) -> None:
    async def body() -> None:
        async with stage("steady") as host:
            with pytest.raises(CallTimeout):
                await host.call_many("steady", "sleep", [{"seconds": 10}] * 3, timeout=0.2)
            assert link_of(host, "steady").in_flight == 0

    run(body())


def test_batch_of_a_plugin_that_dies_ends_with_it(run: Run) -> None:
    async def body() -> None:
        async with stage("obliging") as host:

            def source() -> Iterator[dict[str, Any]]:
                for number in range(10 * IN_FLIGHT):
                    if number == 2 * IN_FLIGHT:
                        pid = host.plugins["obliging"].pid
                        assert pid is not None
                        os.kill(pid, signal.SIGKILL)
                    yield {"value": number}

            with pytest.raises(PluginDied):
                await host.call_many("obliging", "echo", source())

    run(body())


def test_cancelling_who_waits_cancels_the_batch(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with stage("steady") as host:
            link = link_of(host, "steady")
            task = asyncio.create_task(host.call_many("steady", "sleep", [{"seconds": 10}] * 5))
            await wait_until.aio(lambda: link.in_flight == 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert link.in_flight == 0

    run(body())


def test_blocking_host_does_the_same() -> None:
    with blocking("obliging") as host:
        many = ({"value": number} for number in range(1000))
        assert host.call_many("obliging", "echo", many) == list(range(1000))
        with pytest.raises(CallFailed, match="unknown parameter"):
            host.call_many("obliging", "echo", [{"nope": 1}])
        assert host.call("obliging", "echo", {"value": 1}) == 1
