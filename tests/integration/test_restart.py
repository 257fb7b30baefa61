"""Plugins that die and come back: when, how often, and what callers see meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from plugin_host import (
    CallTimeout,
    CrashLoop,
    LaunchError,
    PluginDied,
    PluginExited,
    PluginHost,
    PluginNotReady,
    SpawnError,
)
from plugin_host.event import DeathTold, EventStream, StateChanged
from plugin_host.state import State
from tests.run import Run
from tests.stage import runs, stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import os, signal, sys, threading, time

    @plugin.command("pid")
    def pid(ctx): return os.getpid()

    @plugin.command("crash")
    def crash(ctx, status: int = 3):
        sys.stderr.write("about to crash\\n")
        sys.stderr.flush()
        os._exit(status)

    @plugin.command("leave")
    def leave(ctx, path: str, status: int = 0):
        def wait():
            while not os.path.exists(path): time.sleep(0.005)
            os._exit(status)
        threading.Thread(target=wait, daemon=True).start()

    @plugin.command("sleep")
    def sleep(ctx, seconds: float = 60.0): time.sleep(seconds)
"""
QUICK: dict[str, Any] = {"policy": "on-failure", "backoff_initial_s": 0.05, "backoff_max_s": 0.1}


def phoenix(folder: Path, head: str = "", **restart: Any) -> PluginHost:
    write_plugin(folder, "phoenix", CODE, head=head, restart={**QUICK, **restart})
    return stage("phoenix", dirs=[folder])


async def next_state(events: EventStream, state: State) -> StateChanged:
    async for event in events:
        if isinstance(event, StateChanged) and event.new is state:
            return event
    raise AssertionError("the host has ended")


def test_call_after_a_death_waits_until_the_plugin_is_back(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with phoenix(tmp_path) as host:
            before = await host.call("phoenix", "pid")
            with pytest.raises(PluginDied) as caught:
                await host.call("phoenix", "crash")
            report = caught.value.report
            assert report is not None
            assert "is started again in" in report.next
            assert (report.calls, report.phase, report.restarts) == (("crash",), "call", 0)
            assert report.stderr[-1] == "about to crash"
            assert str(host.plugins["phoenix"].state) == State.BACKOFF
            assert host.plugins["phoenix"].death is report
            after = await host.call("phoenix", "pid", timeout=10)
            assert after != before
            assert host.plugins["phoenix"].restarts == 1
            assert host.plugins["phoenix"].error is None
            assert not runs(before)

    run(body())


def test_call_that_is_not_to_wait_fails_at_once(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with phoenix(tmp_path, backoff_initial_s=60.0, backoff_max_s=60.0) as host:
            with pytest.raises(PluginDied):
                await host.call("phoenix", "crash")
            with pytest.raises(PluginNotReady, match=r"is backoff, not ready: plugin .* died") as caught:
                await host.call("phoenix", "pid", fail_fast=True)
            assert caught.value.state == "backoff"
            started = time.monotonic()
            with pytest.raises(CallTimeout, match="waited for until the deadline of the call"):
                await host.call("phoenix", "pid", timeout=0.2)
            assert time.monotonic() - started < 5
            # By hand it starts at once, whatever the pause is.
            await host.start("phoenix")
            assert str(host.plugins["phoenix"].state) == State.READY

    run(body())


def test_calls_that_wait_survive_more_deaths_and_fail_together_at_the_end(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        # It comes up once; afterwards the import fails.
        head = f"""
            import os
            if os.path.exists({str(tmp_path / "spoiled")!r}): raise ImportError("it is spoiled")
        """
        async with phoenix(tmp_path, head) as host:
            (tmp_path / "spoiled").touch()
            events = host.events()
            with pytest.raises(PluginDied):
                await host.call("phoenix", "crash")
            calls = [asyncio.create_task(host.call("phoenix", "pid")) for _ in range(20)]
            done = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(one) for one in done} == {PluginNotReady}
            error = host.plugins["phoenix"].error
            assert isinstance(error, CrashLoop)
            assert len(error.reports) == 5
            assert [str(one.phase) for one in error.reports] == ["call", *["import"] * 4]
            lines = str(error).splitlines()
            assert lines[0] == "plugin `phoenix` failed 5 times within 180 s and is not started again:"
            assert len(lines) == 6
            assert str(done[0]).startswith(
                "plugin `phoenix` is failed, not ready: plugin `phoenix` failed 5"
            )
            failed = await next_state(events, State.FAILED)
            assert "failed 5 times" in failed.reason
            # Mended and started by hand, it has all its chances again.
            (tmp_path / "spoiled").unlink()
            await host.start("phoenix")
            with pytest.raises(PluginDied, match="started again in"):
                await host.call("phoenix", "crash")
            assert await host.call("phoenix", "pid", timeout=10)

    run(body())


def test_death_is_told_before_the_change_of_state(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with phoenix(tmp_path) as host:
            events = host.events()
            pid = host.plugins["phoenix"].pid
            assert pid is not None
            os.kill(pid, signal.SIGSEGV)
            death = await anext(events)
            assert isinstance(death, DeathTold)
            assert (
                death.report.how == "killed by SIGSEGV (segmentation fault)" or "core" in death.report.how
            )
            assert (death.report.phase, death.report.pid) == ("idle", pid)
            moved = await anext(events)
            assert isinstance(moved, StateChanged)
            assert (moved.old, moved.new) == (State.READY, State.BACKOFF)
            await next_state(events, State.READY)

    run(body())


@pytest.mark.parametrize(
    ("policy", "status", "state"),
    [
        ("on-failure", 0, State.STOPPED),
        ("on-failure", 3, State.BACKOFF),
        ("always", 0, State.BACKOFF),
        ("never", 0, State.STOPPED),
        ("never", 3, State.FAILED),
    ],
)
def test_policy_decides_what_a_quiet_end_leads_to(
    run: Run, tmp_path: Path, policy: str, status: int, state: State
) -> None:
    async def body() -> None:
        async with phoenix(tmp_path, policy=policy) as host:
            events = host.events()
            heard = tmp_path / "heard"  # nothing is in flight any more
            await host.call("phoenix", "leave", {"path": str(heard), "status": status})
            heard.touch()
            moved = await next_state(events, state)
            assert moved.old is State.READY
            if state is State.BACKOFF:
                await next_state(events, State.READY)

    run(body())


def test_launch_that_was_asked_for_is_not_tried_again(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with phoenix(tmp_path, head="import no_such_module") as host:
            plugin = host.plugins["phoenix"]
            assert plugin.state is State.FAILED
            assert isinstance(plugin.error, LaunchError)
            assert plugin.error.report is plugin.death or plugin.death is not None
            assert plugin.death is not None
            assert (plugin.death.phase, plugin.restarts) == ("import", 0)
            assert plugin.death.status is not None
            assert plugin.death.status.code == 1

    run(body())


def test_policy_always_tries_a_first_launch_again(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        head = f"""
            import os
            if not os.path.exists({str(tmp_path / "mended")!r}): raise ImportError("not yet")
        """
        async with phoenix(tmp_path, head, policy="always", max_failures=100) as host:
            assert host.plugins["phoenix"].state in (State.BACKOFF, State.STARTING)
            (tmp_path / "mended").touch()
            assert await host.call("phoenix", "pid", timeout=10)

    run(body())


def test_stop_and_close_end_the_waiting_for_a_restart(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with phoenix(tmp_path, backoff_initial_s=60.0, backoff_max_s=60.0) as host:
            with pytest.raises(PluginDied):
                await host.call("phoenix", "crash")
            waiting = asyncio.create_task(host.call("phoenix", "pid"))
            await asyncio.sleep(0)
            await host.stop("phoenix")
            assert str(host.plugins["phoenix"].state) == State.STOPPED
            with pytest.raises(PluginNotReady, match="stopped"):
                await waiting
            await host.start("phoenix")
            with pytest.raises(PluginDied):
                await host.call("phoenix", "crash")
            waiting = asyncio.create_task(host.call("phoenix", "pid"))
            await asyncio.sleep(0)
        with pytest.raises(PluginNotReady):
            await waiting

    run(body())


def test_stop_ends_a_restart_that_is_under_way(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        head = f"""
            import os, time
            if os.path.exists({str(tmp_path / "slow")!r}):
                open({str(tmp_path / "begun")!r}, "w").close()
                time.sleep(60)
        """
        async with phoenix(tmp_path, head) as host:
            (tmp_path / "slow").touch()
            with pytest.raises(PluginDied):
                await host.call("phoenix", "crash")
            await wait_until.aio(lambda: (tmp_path / "begun").exists())
            assert str(host.plugins["phoenix"].state) == State.STARTING
            started = time.monotonic()
            await host.stop("phoenix")
            assert time.monotonic() - started < 5
            assert str(host.plugins["phoenix"].state) == State.STOPPED
            (tmp_path / "slow").unlink()
            await host.start("phoenix")
            assert await host.call("phoenix", "pid")

    run(body())


def test_other_plugins_do_not_notice(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        write_plugin(tmp_path, "phoenix", CODE, restart=QUICK)
        async with stage("phoenix", "steady", dirs=[tmp_path]) as host:
            before = host.plugins["steady"].pid
            for _ in range(3):
                with pytest.raises(PluginDied):
                    await host.call("phoenix", "crash", timeout=10)
                assert host.plugins["steady"].pid == before
                assert host.plugins["steady"].state is State.READY

    run(body())


async def comes_to(host: PluginHost, state: State) -> None:
    """Wait until a plugin is."""
    async for event in host.events():
        if isinstance(event, StateChanged) and event.new is state:
            return


def test_calls_during_a_restart_wait_for_it_and_none_fails(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(
        tmp_path, "calm", "import os\n@plugin.command('pid')\ndef pid(ctx): return os.getpid()"
    )

    async def body() -> None:
        async with stage("calm", dirs=[folder]) as host:
            before = await host.call("calm", "pid")
            stops = asyncio.create_task(comes_to(host, State.STOPPING))
            await asyncio.sleep(0)
            restart, found = asyncio.create_task(host.restart("calm")), []
            await stops
            while not restart.done():
                found.append(await host.call("calm", "pid"))
            await restart
            assert found
            assert set(found) == {host.plugins["calm"].pid}
            assert before not in found

    run(body())


def test_plugin_whose_folder_is_gone_is_not_stopped_for_a_restart(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(
        tmp_path, "calm", "import os\n@plugin.command('pid')\ndef pid(ctx): return os.getpid()"
    )

    async def body() -> None:
        async with stage("calm", dirs=[folder]) as host:
            pid = await host.call("calm", "pid")
            (tmp_path / "calm").rename(tmp_path / "away")
            with pytest.raises(SpawnError, match=f"its folder {tmp_path / 'calm'} is gone"):
                await host.restart("calm")
            assert await host.call("calm", "pid") == pid
            await host.stop("calm")
            with pytest.raises(PluginExited, match=f"hint: its folder {tmp_path / 'calm'} is gone"):
                await host.start("calm")
            (tmp_path / "away").rename(tmp_path / "calm")
            await host.start("calm")
            assert await host.call("calm", "pid") != pid

    run(body())


def test_call_during_a_restart_that_a_stop_overtakes_is_told_that_it_is_stopped(
    run: Run, tmp_path: Path
) -> None:
    folder = write_plugin(tmp_path, "calm")

    async def body() -> None:
        async with stage("calm", dirs=[folder]) as host:
            stops = asyncio.create_task(comes_to(host, State.STOPPING))
            await asyncio.sleep(0)
            restart = asyncio.create_task(host.restart("calm"))
            await stops
            call = asyncio.create_task(host.call("calm", "none"))
            await asyncio.sleep(0)
            assert not call.done()
            await host.stop("calm")
            with pytest.raises(PluginNotReady, match="is stopped, not ready"):
                await call
            with pytest.raises(LaunchError, match="stopped meanwhile"):
                await restart

    run(body())


def test_restart_that_is_interrupted_by_a_manual_one_happens_once(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with phoenix(tmp_path) as host:
            events = host.events()
            with pytest.raises(PluginDied):
                await host.call("phoenix", "crash")
            await asyncio.gather(*(host.start("phoenix") for _ in range(5)))
            await host.call("phoenix", "pid")
            await host.stop("phoenix")
        moves = [one.new async for one in events if isinstance(one, StateChanged)]
        assert moves.count(State.STARTING) == 1

    run(body())


def test_crash_in_c_is_told_with_the_line_of_python(run: Run, tmp_path: Path) -> None:
    code = (
        CODE
        + """
    import ctypes

    @plugin.command("segfault")
    def segfault(ctx):
        ctypes.string_at(0)
"""
    )

    async def body() -> None:
        write_plugin(tmp_path, "phoenix", code, restart=QUICK)
        async with stage("phoenix", dirs=[tmp_path]) as host:
            with pytest.raises(PluginDied) as caught:
                await host.call("phoenix", "segfault")
            report = caught.value.report
            assert report is not None
            assert report.how.startswith("killed by SIGSEGV")
            assert "phoenix_plugin.py:" in report.how
            assert report.how.endswith("in segfault")

    run(body())
