"""Calls of plugins whose host is reached before it is entered: they wait, and never for nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from plugin_host import PluginHost, PluginHostError, PluginNotReady
from tests.run import Run
from tests.stage import stage, write_plugin

CODE = """
    @plugin.command("echo")
    def echo(ctx, value): return value
"""


@pytest.fixture(params=["eager", "lazy"])
def host(tmp_path: Path, request: pytest.FixtureRequest) -> PluginHost:
    write_plugin(tmp_path, "desk", CODE, activation=request.param)
    return stage("desk", dirs=[tmp_path])


async def begun(host: PluginHost) -> asyncio.Task[Any]:
    """A call that has been made."""
    call = asyncio.create_task(host.call("desk", "echo", {"value": 1}))
    for _ in range(5):
        await asyncio.sleep(0)
    return call


def test_call_waits_for_the_host_to_be_entered(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        host.expect()
        call = await begun(host)
        assert not call.done()
        with pytest.raises(PluginNotReady, match="is discovered, not ready"):
            await host.call("desk", "echo", {"value": 2}, fail_fast=True)
        async with host:
            assert await call == 1

    run(body())


def test_call_ends_with_a_host_that_is_never_entered(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        host.expect()
        call = await begun(host)
        await host.close()
        with pytest.raises(PluginNotReady, match="is discovered, not ready"):
            await call

    run(body())


def test_host_that_is_closed_expects_nothing_any_more(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        await host.close()
        with pytest.raises(PluginHostError, match="closed"):
            host.expect()

    run(body())


def test_call_of_a_host_that_expects_nothing_fails_at_once(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        host.discover()
        with pytest.raises(PluginNotReady, match="is discovered, not ready"):
            await host.call("desk", "echo", {"value": 1})
        await host.close()

    run(body())


def test_plugin_that_may_not_start_is_not_waited_for(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        write_plugin(tmp_path, "desk", CODE)
        host = PluginHost(plugin_dirs=[tmp_path], entry_points=False, block=["desk"])
        host.expect()
        with pytest.raises(PluginNotReady, match="block"):
            await host.call("desk", "echo", {"value": 1})
        await host.close()

    run(body())
