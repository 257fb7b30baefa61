"""What a real host counts while its plugins work, fail, die and are stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plugin_host import CallFailed, CallTimeout, HandlerNotFound, PluginDied, PluginHost
from plugin_host.exposition import expose
from plugin_host.metric.call import OTHER
from plugin_host.metric.histogram import quantile
from plugin_host.metric.snapshot import PluginFigures, difference
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import os, time

    shell = sdk.exec.Handler("shell", default_command=["sh"])
    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts([shell]))

    @plugin.command("echo")
    def echo(ctx, value=None):
        return value

    @plugin.command("wait")
    def wait(ctx):
        ctx.cancelled.wait(30)

    @plugin.command("fail")
    def fail(ctx):
        raise LookupError("no")

    @plugin.command("refuse")
    def refuse(ctx):
        raise sdk.CommandError(3, "not yours")

    @plugin.command("spin")
    def spin(ctx):
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass

    @plugin.command("die")
    def die(ctx):
        os._exit(7)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("plugins")
    restart = {"policy": "on-failure", "backoff_initial_s": 0.05}
    return write_plugin(home, "busy", CODE, restart=restart, capabilities=["command", "exec"])


async def busy(host: PluginHost) -> PluginFigures:
    return (await host.metrics())["plugins"]["busy"]


def test_calls_are_counted_however_they_end(run: Run, folder: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with stage("busy", dirs=[folder]) as host:
            before = await host.metrics()
            for number in range(50):
                assert await host.call("busy", "echo", {"value": number}) == number
            for command in ("fail", "refuse", "nowhere"):
                with pytest.raises(CallFailed):
                    await host.call("busy", command)
            with pytest.raises(CallTimeout):
                await host.call("busy", "wait", timeout=0.01)
            task = asyncio.create_task(host.call("busy", "wait"))

            async def in_flight() -> bool:
                return (await busy(host))["calls"]["wait"]["in_flight"] == 1

            await wait_until.aio(in_flight)
            task.cancel()
            await asyncio.wait({task})
            between = difference(await host.metrics(), before)
            calls = between["plugins"]["busy"]["calls"]
            assert list(calls) == [OTHER, "echo", "fail", "refuse", "wait"]
            assert (calls["echo"]["started"], calls["echo"]["finished"], calls["echo"]["failures"]) == (
                50,
                50,
                {},
            )
            assert calls["fail"]["failures"] == {"command.handler_failed": 1}
            assert calls["refuse"]["failures"] == {"command.failed": 1}
            assert calls[OTHER]["failures"] == {"command.not_found": 1}
            assert calls["wait"]["failures"] == {"command.timeout": 1, "rpc.cancelled": 1}
            assert calls["wait"]["in_flight"] == 0
            middle = quantile(calls["echo"]["buckets"], 0.5)
            assert middle is not None
            assert 0 < middle < between["uptime"]
            traffic = between["plugins"]["busy"]["traffic"]
            assert traffic["sent_bytes"] > 50 * 30
            assert traffic["received_bytes"] > 50 * 30

    run(body())


def test_processes_are_looked_at_when_somebody_asks(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with stage("busy", dirs=[folder]) as host:
            before = await host.metrics()
            await host.call("busy", "spin")
            session = await host.exec("busy", ["sleep", "60"], tty=False, detached=True)
            after = await host.metrics()
            usage = after["plugins"]["busy"]["usage"]
            spent = difference(after, before)["plugins"]["busy"]["usage"]["cpu_seconds"]
            assert 0.08 <= spent < 10
            assert usage["memory_bytes"] > 5_000_000
            assert usage["processes"] == 2
            assert usage["threads"] > 2
            await session.close()
            await host.stop("busy")
            stopped = await busy(host)
            assert stopped["state"] == "stopped"
            assert stopped["usage"] | {"cpu_seconds": 0} == {
                "cpu_seconds": 0,
                "memory_bytes": 0,
                "processes": 0,
                "threads": 0,
            }
            assert stopped["usage"]["cpu_seconds"] >= usage["cpu_seconds"]
            assert (
                stopped["traffic"]["received_bytes"] > after["plugins"]["busy"]["traffic"]["received_bytes"]
            )

    run(body())


def test_sessions_are_counted_from_their_opening_to_their_end(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with stage("busy", dirs=[folder]) as host:
            kept = await host.exec("busy", ["sleep", "60"], tty=False, detached=True)
            for script in ("exit 0", "exit 3", "kill -9 $$"):
                session = await host.exec("busy", ["sh", "-c", script], tty=False, detached=True)
                await session.wait()
            with pytest.raises(HandlerNotFound):
                await host.exec("busy", resource="nothing")
            sessions = (await busy(host))["sessions"]
            assert (sessions["opened"], sessions["running"]) == (4, 1)
            assert sessions["ended"] == {"ok": 1, "error": 1, "signal": 1, "lost": 0}
            assert sessions["failures"] == {"exec.handler_not_found": 1}
            with pytest.raises(PluginDied):
                await host.call("busy", "die")
            with pytest.raises(PluginDied):
                await kept.wait()
            sessions = (await busy(host))["sessions"]
            assert (sessions["running"], sessions["ended"]["lost"]) == (0, 1)

    run(body())


def test_deaths_and_what_follows_are_counted(run: Run, folder: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with stage("busy", dirs=[folder]) as host:
            with pytest.raises(PluginDied):
                await host.call("busy", "die")
            assert await host.call("busy", "echo", {"value": 1}) == 1
            await host.reload("busy")
            figures = await busy(host)
            assert (figures["starts"], figures["restarts"], figures["reloads"]) == (3, 1, 1)
            assert figures["deaths"] == {"call": 1}
            assert figures["calls"]["die"]["failures"] == {"command.connection": 1}
            assert figures["calls"]["echo"]["finished"] == 1
            text = await expose(host)
            assert 'plugin_host_plugin_deaths_total{phase="call",plugin="busy"} 1.0' in text

    run(body())
