"""A host that is used from another event loop than its own says so, at once, and works on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from plugin_host import PluginHost, PluginHostError
from tests.run import Run
from tests.stage import stage

USES: dict[str, Callable[[PluginHost], Awaitable[Any]]] = {
    "call": lambda host: host.call("steady", "sleep", {"seconds": 0.05}),
    "call_text": lambda host: host.call_text("steady", "sleep", {"seconds": "0.05"}),
    "call_many": lambda host: host.call_many("steady", "sleep", [{"seconds": 0.05}]),
    "exec": lambda host: host.exec("steady", ["true"]),
    "sessions": lambda host: host.sessions(),
    "start": lambda host: host.start("steady"),
    "stop": lambda host: host.stop("steady"),
    "reload": lambda host: host.reload("steady"),
    "reconfigure": lambda host: host.reconfigure("steady", {}),
    "close": lambda host: host.close(),
    "enter": lambda host: host.__aenter__(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("is_ready", [True, False], ids=["ready", "stopped"])
def test_use_from_another_loop_names_the_rule_and_harms_nothing(
    run: Run, use: Callable[[PluginHost], Awaitable[Any]], is_ready: bool
) -> None:
    async def body() -> None:
        async with stage("steady") as host:
            if not is_ready:
                await host.stop("steady")

            async def elsewhere() -> None:
                await use(host)

            with pytest.raises(PluginHostError, match="belongs to the event loop in which it was entered"):
                await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
            await host.start("steady")
            assert await host.call("steady", "echo", {"value": 2}) == 2

    run(body())


def test_host_whose_loop_is_over_is_not_closed_from_the_next_one() -> None:
    async def enter() -> PluginHost:
        return await stage().__aenter__()

    host = asyncio.run(enter())
    with pytest.raises(PluginHostError, match="in which this host was entered is closed"):
        asyncio.run(host.close())
