"""A blocking host that is closed answers as an asyncio host does that is closed."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from plugin_host import PluginHostError
from plugin_host.sync import epilogue
from tests.run import Run
from tests.stage import stage
from tests.syncstage import blocking

USES: dict[str, Callable[[Any], Any]] = {
    "call": lambda host: host.call("steady", "echo"),
    "call_many": lambda host: host.call_many("steady", "echo", [{"value": 1}]),
    "exec": lambda host: host.exec("steady", ["true"]),
    "exec_handlers": lambda host: host.exec_handlers("steady"),
    "sessions": lambda host: host.sessions(),
    "start": lambda host: host.start("steady"),
    "stop": lambda host: host.stop("steady"),
    "restart": lambda host: host.restart("steady"),
    "reload": lambda host: host.reload("steady"),
    "reconfigure": lambda host: host.reconfigure("steady", {}),
    "tasks.run": lambda host: host.tasks.run("steady", ["true"]),
    "wait_for_change": lambda host: host.metadata.wait_for_change("/x", timeout=0.05),
    "unknown plugin": lambda host: host.stop("stedy"),
}


async def closed_asyncio_host() -> dict[str, str]:
    """What it says to each use."""
    async with stage("steady") as host:
        pass
    said = {}
    for name, use in USES.items():
        try:
            result = use(host)
            said[name] = repr(await result if inspect.isawaitable(result) else result)
        except PluginHostError as error:
            said[name] = f"{type(error).__name__}: {error}"
    return said


def closed_blocking_host() -> dict[str, str]:
    with blocking("steady") as host:
        pass
    said = {}
    for name, use in USES.items():
        try:
            said[name] = repr(use(host))
        except PluginHostError as error:
            said[name] = f"{type(error).__name__}: {error}"
    return said


def test_closed_host_says_what_a_closed_asyncio_host_says(run: Run) -> None:
    said = closed_blocking_host()
    assert said == run(closed_asyncio_host())
    assert said["call_many"] == "PluginNotReady: plugin `steady` is stopped, not ready"
    assert said["stop"] == "None"
    assert said["restart"].startswith("PluginHostError: this host is closed")


def test_closed_host_says_it_where_a_loop_runs_too(run: Run) -> None:
    async def body() -> None:
        said = await asyncio.to_thread(closed_blocking_host)
        assert said == closed_blocking_host()

    run(body())


def test_what_would_never_come_is_an_error_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epilogue, "_PATIENCE_S", 0.05)
    with blocking("steady") as host:
        pass
    with pytest.raises(PluginHostError, match="this host is closed"):
        host.metadata.wait_for_change("/x")
