"""Values that cannot travel, or not so many of them, cost their call and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from plugin_host import CallFailed, PluginHost
from tests.run import Run
from tests.stage import stage

pytestmark = pytest.mark.edges


@pytest.fixture
def demo() -> PluginHost:
    return stage("obliging")


async def failure(host: PluginHost, command: str, params: Any = None, **options: Any) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await host.call("obliging", command, params, **options)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("set", "result.deep[1]: msgpack cannot carry a builtins.set: make a list of it"),
        ("object", "result.deep[1]: msgpack cannot carry a builtins.object"),
        ("lambda", "result.deep[1]: msgpack cannot carry a builtins.function"),
        ("big", "result.deep[1]: an integer of 65 bits does not fit into 64"),
    ],
)
def test_result_that_cannot_travel_is_named_with_its_place(
    run: Run, demo: PluginHost, kind: str, words: str
) -> None:
    async def body() -> None:
        async with demo as host:
            error = await failure(host, "uncarried", {"kind": kind})
            assert (error.name, error.code) == ("command.not_encodable", 106)
            assert words in str(error)

    run(body())


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("key", "command.not_encodable"),
        ("rows", "rpc.too_large"),
        ("list", "rpc.too_large"),
        ("map", "rpc.too_large"),
        ("own", "command.not_encodable"),
        ("error", "command.handler_failed"),
    ],
)
def test_result_that_the_host_would_not_take_fails_that_call_alone(
    run: Run, demo: PluginHost, kind: str, name: str
) -> None:
    async def body() -> None:
        async with demo as host:
            pid = host.plugins["obliging"].pid
            assert (await failure(host, "untaken", {"kind": kind})).name == name
            assert await host.call("obliging", "untaken", {"kind": "log"}) is None
            assert host.plugins["obliging"].pid == pid

    run(body())


def test_result_that_contains_itself_fails_and_the_plugin_lives(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            error = await failure(host, "cycle")
            assert error.name == "command.not_encodable"
            assert await host.call("obliging", "echo", {"value": 1}) == 1

    run(body())


def test_typed_results_travel_as_maps(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("obliging", "typed") == [{"x": 1, "y": 2}, {"name": "a"}]

    run(body())


def test_result_over_the_limit_fails_that_call_alone(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            beside = asyncio.ensure_future(host.call("obliging", "large", {"size": 1000}))
            error = await failure(host, "large", {"size": 17 << 20})
            assert error.name == "rpc.too_large"
            assert "16777216" in str(error)
            assert len(await beside) == 1000
            assert len(await host.call("obliging", "large", {"size": 15 << 20})) == 15 << 20

    run(body())


def test_parameters_over_the_limit_fail_that_call_alone(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            error = await failure(host, "echo", {"value": b"x" * (17 << 20)})
            assert error.name == "rpc.too_large"
            assert "obliging echo" in str(error)
            assert await host.call("obliging", "echo", {"value": 1}) == 1

    run(body())


def test_parameters_that_cannot_travel_fail_that_call_alone(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            error = await failure(host, "echo", {"value": {"a": [object()]}})
            assert error.name == "rpc.not_encodable"
            assert "value.a[0]" in str(error)
            assert "builtins.object" in str(error)
            assert await host.call("obliging", "echo", {"value": 1}) == 1

    run(body())


def test_parameters_that_the_plugin_would_not_take_fail_that_call_alone(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            pid = host.plugins["obliging"].pid
            for value, name in (
                ([{(1, 2): 3}], "rpc.not_encodable"),
                ([[n] for n in range(150_000)], "rpc.too_large"),
            ):
                assert (await failure(host, "echo", {"value": value})).name == name
            assert await host.call("obliging", "echo", {"value": 1}) == 1
            assert host.plugins["obliging"].pid == pid

    run(body())
