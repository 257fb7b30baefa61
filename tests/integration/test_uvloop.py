"""The host on uvloop: whatever is different there must not show."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plugin_host import CallTimeout, PluginDied
from plugin_host.event import HealthChanged
from plugin_host.state import State
from tests.fastloop import run_fast
from tests.session import Reader, runner, sh
from tests.stage import runs, stage, write_plugin
from tests.wait import WaitUntil

HANGS = """
    import time

    @plugin.command("hang")
    async def hang(ctx): time.sleep(100)

    @plugin.command("fine")
    def fine(ctx): return "fine"
"""


def test_calls_batches_deadlines_and_cancelled_calls() -> None:
    async def body() -> None:
        async with stage("steady") as host:
            many = await asyncio.gather(
                *(host.call("steady", "echo", {"value": number}) for number in range(500))
            )
            assert many == list(range(500))
            batch = await host.call_many("steady", "echo", [{"value": number} for number in range(1000)])
            assert batch == list(range(1000))
            assert await host.call("steady", "echo", {"value": bytes(1 << 20)}) == bytes(1 << 20)
            with pytest.raises(CallTimeout):
                await host.call("steady", "sleep", timeout=0.05)
            # The earlier deadline overtakes the one that is set.
            late = asyncio.create_task(host.call("steady", "sleep", {"seconds": 0.3}, timeout=10))
            await asyncio.sleep(0.05)
            with pytest.raises(CallTimeout):
                await host.call("steady", "sleep", timeout=0.05)
            assert await late is False
            given_up = asyncio.create_task(host.call("steady", "sleep"))
            await asyncio.sleep(0.05)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            assert await host.call("steady", "echo", {"value": 1}) == 1

    run_fast(body())


@pytest.mark.parametrize("tty", [False, True])
def test_sessions_bring_every_byte_and_their_end(tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = "stty -echo 2>&-; echo ready; read line; echo got $line; seq 20000; exit 3"
            session = await host.exec("desk", sh(script), tty=tty)
            reader = Reader(await session.attach())
            await reader.until(b"ready")
            await session.write(b"this\n")
            await reader.until(b"got this")
            await reader.until(b"\n20000")
            assert (await session.wait()).code == 3

    run_fast(body())


def test_plugin_that_ignores_term_is_killed(wait_until: WaitUntil) -> None:
    async def body() -> int:
        async with stage("ignores_term") as host:
            pid = host.plugins["ignores_term"].pid
            assert pid is not None
            await host.stop("ignores_term")
            assert host.plugins["ignores_term"].state is State.STOPPED
            return pid

    pid = run_fast(body())
    wait_until(lambda: not runs(pid))


def test_plugin_that_dies_is_told_of_and_started_again(tmp_path: Path) -> None:
    async def body() -> None:
        write_plugin(
            tmp_path,
            "mortal",
            "import os\n@plugin.command('pid')\ndef pid(ctx): return os.getpid()\n"
            "@plugin.command('end')\ndef end(ctx): os._exit(7)",
            restart={"backoff_initial_s": 0.05},
        )
        async with stage("mortal", dirs=[tmp_path]) as host:
            first = await host.call("mortal", "pid")
            with pytest.raises(PluginDied, match="7"):
                await host.call("mortal", "end")
            assert await host.call("mortal", "pid") != first

    run_fast(body())


def test_hang_is_noticed_and_the_plugin_comes_back(tmp_path: Path) -> None:
    async def body() -> None:
        write_plugin(
            tmp_path,
            "patient",
            HANGS,
            health={"interval_s": 0.1, "timeout_s": 0.5, "misses": 2},
            restart={"backoff_initial_s": 0.05},
        )
        async with stage("patient", dirs=[tmp_path]) as host:
            events = host.events()
            call = asyncio.create_task(host.call("patient", "hang"))
            # On a busy machine it may have seemed silent for a moment before.
            async for event in events:
                if isinstance(event, HealthChanged) and event.cause == "loop":
                    break
            with pytest.raises(PluginDied, match="unresponsive"):
                await call
            assert await host.call("patient", "fine", timeout=10) == "fine"

    run_fast(body())
