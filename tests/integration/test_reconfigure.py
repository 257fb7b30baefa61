"""New settings at run time: taken, refused, answered by a restart, and never lost to a start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from plugin_host import CallFailed, CallTimeout, ConfigurationError, PluginHost
from plugin_host.configuration import convert
from plugin_host.state import State
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import os

    @plugin.command("seen")
    def seen(ctx): return [dict(ctx.settings), os.getpid()]
"""
TAKES = """
    @plugin.on_reconfigure
    def take(ctx, settings):
        if settings.get("level") == 13:
            raise ValueError("thirteen is unlucky")
"""
SCHEMA = {"type": "object", "properties": {"level": {"type": "integer", "default": 1}}}


def settable(folder: Path, more: str = "", head: str = "", **keys: Any) -> PluginHost:
    write_plugin(folder, "settable", CODE + more, head=head, settings_schema=SCHEMA, **keys)
    config = convert({"plugins": {"settable": {"settings": {"level": 2}}}}, file="a test")
    return stage("settable", dirs=[folder], config=config)


def test_plugin_that_takes_new_settings_runs_on_and_keeps_them(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with settable(tmp_path, TAKES) as host:
            old, pid = await host.call("settable", "seen")
            assert old == {"level": 2}
            await host.reconfigure("settable", {"level": 3})
            assert await host.call("settable", "seen") == [{"level": 3}, pid]
            await host.restart("settable")
            new, other = await host.call("settable", "seen")
            assert (new, other != pid) == ({"level": 3}, True)

    run(body())


def test_plugin_that_knows_nothing_of_it_is_restarted(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with settable(tmp_path) as host:
            _, pid = await host.call("settable", "seen")
            await host.reconfigure("settable", {})
            new, other = await host.call("settable", "seen")
            assert new == {"level": 1}  # the schema's, in place of all that it had
            assert other != pid

    run(body())


def test_settings_that_are_refused_or_do_not_fit_change_nothing(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with settable(tmp_path, TAKES) as host:
            before = await host.call("settable", "seen")
            with pytest.raises(CallFailed, match="thirteen is unlucky"):
                await host.reconfigure("settable", {"level": 13})
            with pytest.raises(ConfigurationError, match=r"\$\.plugins\.settable\.settings\.level"):
                await host.reconfigure("settable", {"level": "high"})
            assert await host.call("settable", "seen") == before
            await host.restart("settable")
            assert (await host.call("settable", "seen"))[0] == {"level": 2}

    run(body())


@pytest.mark.parametrize("more", ["", TAKES], ids=["restarts", "takes"])
def test_settings_for_one_that_is_starting_are_not_lost(
    run: Run, tmp_path: Path, wait_until: WaitUntil, more: str
) -> None:
    gate = tmp_path / "gate"
    head = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)"

    async def body() -> None:
        async with settable(tmp_path / "plugins", more, head=head, activation="lazy") as host:
            first = asyncio.create_task(host.call("settable", "seen"))
            await wait_until.aio(lambda: host.plugins["settable"].state is State.STARTING)
            setting = asyncio.create_task(host.reconfigure("settable", {"level": 5}))
            await asyncio.sleep(0)
            gate.touch()
            await setting
            await asyncio.wait((first,))
            first.exception()
            assert (await host.call("settable", "seen"))[0] == {"level": 5}

    run(body())


@pytest.mark.parametrize("way", ["timeout", "cancel"])
def test_plugin_of_which_nobody_knows_what_it_took_is_restarted_with_its_old_settings(
    run: Run, tmp_path: Path, wait_until: WaitUntil, way: str
) -> None:
    inside, gate = tmp_path / "inside", tmp_path / "gate"
    takes = f"""
    import time
    from pathlib import Path

    @plugin.on_reconfigure
    def take(ctx, settings):
        Path({str(inside)!r}).touch()
        while not Path({str(gate)!r}).exists(): time.sleep(0.01)
"""

    async def body() -> None:
        async with settable(tmp_path / "plugins", takes) as host:
            plugin = host.plugins["settable"]
            old, pid = await host.call("settable", "seen")
            timeout = 0.1 if way == "timeout" else None
            setting = asyncio.create_task(host.reconfigure("settable", {"level": 5}, timeout=timeout))
            await wait_until.aio(inside.exists)
            if way == "cancel":
                setting.cancel()
            with pytest.raises((CallTimeout, asyncio.CancelledError)):
                await setting
            gate.touch()
            await wait_until.aio(lambda: plugin.state is State.READY and plugin.pid != pid)
            seen, other = await host.call("settable", "seen")
            assert (seen, other != pid) == (old, True)
            await host.reconfigure("settable", {"level": 6})  # nothing is in doubt any more
            assert await host.call("settable", "seen") == [{"level": 6}, other]

    run(body())


def test_stop_leaves_a_plugin_stopped_that_was_to_be_restarted_for_its_settings(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    takes = """
    import time

    @plugin.on_reconfigure
    def take(ctx, settings):
        time.sleep(0.3)
"""

    async def body() -> None:
        async with settable(tmp_path, takes) as host:
            plugin = host.plugins["settable"]
            with pytest.raises(CallTimeout):
                await host.reconfigure("settable", {"level": 5}, timeout=0.05)
            await host.stop("settable")
            await wait_until.aio(lambda: not host._undertakings.running)
            assert plugin.state is State.STOPPED

    run(body())
