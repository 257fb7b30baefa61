"""A host of idle plugins sleeps, and so does all that belongs to it: counted by the kernel."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from resource import RUSAGE_THREAD, getrusage

import psutil
import pytest

from benchmarks.growth.idle import watch
from plugin_host.manifest import Health
from tests.run import Run
from tests.stage import stage, write_plugin

CODE = """
sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[sdk.exec.Handler(resource="local")]))

@plugin.command("echo")
def echo(ctx, payload=None):
    return payload

@plugin.command("sleep")
async def sleep(ctx):
    return 0
"""
IDS = [f"p{number}" for number in range(4)]
WATCHED_S = 1.0
HEALTH_S = Health().interval_s


@pytest.fixture(params=["1", "0"], ids=["forked", "spawned"])
def _launch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGIN_HOST_WARM", request.param)


@pytest.mark.usefixtures("_launch")
def test_idle_plugins_their_host_and_its_helpers_are_not_woken(run: Run, tmp_path: Path) -> None:
    """After plain and async calls, with a session open, between two looks at their health."""
    for id in IDS:
        write_plugin(tmp_path, id, CODE)

    async def body() -> None:
        async with stage(*IDS, dirs=[tmp_path]) as host:
            for id in IDS:
                await host.call(id, "echo", {"payload": 1}, timeout=30)
                await host.call(id, "sleep")
            session = await host.exec(IDS[0], ["cat"], tty=False)
            pids = [os.getpid(), *(one.pid for one in psutil.Process().children(recursive=True))]

            async def is_quiet() -> bool:
                """What follows on a start is over, and no look at their health is near."""
                seen = await watch(pids, 0.2)
                others = [one for pid, one in seen.items() if pid != os.getpid()]
                left = HEALTH_S - asyncio.get_running_loop().time() % HEALTH_S
                return left > WATCHED_S + 0.5 and not any(one.wakeups for one in others)

            while not await is_quiet():
                pass
            before = getrusage(RUSAGE_THREAD).ru_nvcsw
            seen = await watch(pids, WATCHED_S)
            waits = getrusage(RUSAGE_THREAD).ru_nvcsw - before
            await session.close()
        # The loop slept once, and pytest's own threads may have done something else.
        assert waits <= 3
        assert seen.pop(os.getpid()).wakeups <= 20
        assert [(pid, one) for pid, one in seen.items() if one.wakeups] == []
        assert len(seen) >= len(IDS) + 2  # the keeper and the session's program

    run(body())
