"""Stopping: politely when the plugin listens, within a bound when it does not, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from plugin_host import PluginHostError, PluginNotReady, State, StateChanged
from tests.run import Run
from tests.stage import PERSONALITIES, stage, write_plugin
from tests.wait import WaitUntil

STOP_S = 1.0
"""The `stop_timeout_s` of every personality; the ladder may take GRACE_S and KILL_S more."""


def is_gone(process: psutil.Process) -> bool:
    """An orphan that nobody reaps, as in many containers, has ended all the same."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def stopped_how(logged: pytest.LogCaptureFixture, id: str) -> str:
    (text,) = [r.getMessage() for r in logged.records if f"plugin {id} stopped:" in r.getMessage()]
    return text


def test_plugin_ends_with_status_0_when_asked(run: Run, logged: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with stage("steady"):
            pass

    run(body())
    assert "exited with status 0" in stopped_how(logged, "steady")
    assert "step: polite request" in stopped_how(logged, "steady")


def test_exit_handlers_run_at_the_end(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(
        tmp_path,
        "tidy",
        """
        import atexit, os
        atexit.register(lambda: open(os.path.join(os.path.dirname(__file__), "tidied"), "w").close())
        """,
    )

    async def body() -> None:
        async with stage("tidy", dirs=[folder]):
            assert not (folder / "tidy" / "tidied").exists()

    run(body())
    assert (folder / "tidy" / "tidied").exists()


def test_running_handlers_are_told_and_given_time(run: Run, logged: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with stage("steady") as host:
            call = asyncio.ensure_future(host.call("steady", "sleep", {"seconds": 60}))
            await host.call("steady", "echo")
            await host.stop("steady")
            assert await call is True

    run(body())
    assert "exited with status 0" in stopped_how(logged, "steady")


@pytest.mark.parametrize("id", ["slow_to_stop", "ignores_term", "never_reads", "answers_strangely"])
def test_stop_ends_within_its_bound(run: Run, id: str) -> None:
    async def body() -> float:
        async with stage(id) as host:
            process = psutil.Process(host.plugins[id].pid)
            if id == "slow_to_stop":
                asyncio.ensure_future(host.call(id, "sleep")).add_done_callback(
                    lambda call: call.exception()
                )
                await asyncio.sleep(0)
            began = time.monotonic()
            await host.stop(id)
            took = time.monotonic() - began
            assert is_gone(process)
            assert host.plugins[id].state is State.STOPPED
            return took

    assert run(body()) < STOP_S + 1.5


def test_stubborn_plugin_is_killed_and_the_log_says_so(run: Run, logged: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with stage("ignores_term"):
            pass

    run(body())
    text = stopped_how(logged, "ignores_term")
    assert "step: SIGKILL" in text
    assert "killed: python3" in text


def test_orphan_that_holds_stderr_and_ignores_sigterm_is_found_and_killed(
    run: Run, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> float:
        async with stage("forks_orphan") as host:
            orphan = psutil.Process(await host.call("forks_orphan", "fork"))
            assert os.getsid(orphan.pid) == orphan.pid
            began = time.monotonic()
            await host.stop("forks_orphan")
            took = time.monotonic() - began
            assert is_gone(orphan)
            return took

    assert run(body()) < STOP_S + 1.5
    assert "exited with status 0" in stopped_how(logged, "forks_orphan")


def test_orphan_is_cleared_away_when_the_plugin_dies(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with stage("forks_orphan") as host:
            orphan = psutil.Process(await host.call("forks_orphan", "fork"))
            pid = host.plugins["forks_orphan"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await wait_until.aio(lambda: is_gone(orphan))

    run(body())


def test_many_stubborn_plugins_stop_at_the_same_time(run: Run, tmp_path: Path) -> None:
    for number in range(5):
        write_plugin(
            tmp_path,
            f"stubborn{number}",
            "import atexit, time; atexit.register(time.sleep, 60)",
        )

    async def body() -> float:
        ids = [f"stubborn{number}" for number in range(5)]
        async with stage(*ids, dirs=[tmp_path]):
            began = time.monotonic()
        return time.monotonic() - began

    assert run(body()) < STOP_S + 2.5


def test_stop_and_start_in_any_order_end_in_the_last_wish(run: Run) -> None:
    async def body() -> None:
        async with stage("steady") as host:
            plugin = host.plugins["steady"]
            await asyncio.gather(host.stop("steady"), host.stop("steady"), host.stop("steady"))
            assert plugin.state is State.STOPPED
            acts = (host.start("steady"), host.stop("steady"), host.start("steady"))
            given_up, _, started = await asyncio.gather(*acts, return_exceptions=True)
            # One that is stopped while it starts did not start.
            assert given_up is None or "was stopped while it started" in str(given_up)
            assert started is None
            assert await host.call("steady", "echo", {"value": 1}) == 1
            await asyncio.gather(host.restart("steady"), host.restart("steady"))
            assert await host.call("steady", "echo", {"value": 1}) == 1

    run(body())


def test_every_move_is_an_event(run: Run) -> None:
    async def body() -> list[tuple[str, str]]:
        host = stage("steady")
        events = host.events()
        async with host:
            await host.restart("steady")
        return [(event.old, event.new) async for event in events if isinstance(event, StateChanged)]

    assert run(body()) == [
        ("discovered", "starting"),
        ("starting", "ready"),
        ("ready", "stopping"),
        ("stopping", "stopped"),
        ("stopped", "starting"),
        ("starting", "ready"),
        ("ready", "stopping"),
        ("stopping", "stopped"),
    ]


def test_host_that_was_left_starts_nothing(run: Run) -> None:
    async def body() -> None:
        async with stage("steady") as host:
            pass
        with pytest.raises(PluginNotReady):
            await host.call("steady", "echo")
        for act in (host.start("steady"), host.restart("steady"), host.__aenter__()):
            with pytest.raises(PluginHostError, match="this host is closed"):
                await act
        await host.stop("steady")
        await host.close()

    run(body())


def test_error_in_the_block_stops_the_plugins_and_passes_through(run: Run) -> None:
    seen = []

    async def fail() -> None:
        async with stage("steady") as host:
            seen.append(psutil.Process(host.plugins["steady"].pid))
            raise LookupError

    async def body() -> None:
        with pytest.raises(LookupError):
            await fail()
        assert is_gone(seen[0])

    run(body())


def test_cancelled_exit_still_leaves_nothing(run: Run) -> None:
    async def body() -> None:
        host = stage("ignores_term", "steady")
        await host.__aenter__()
        processes = [psutil.Process(plugin.pid) for plugin in host.plugins.values() if plugin.pid]
        assert len(processes) == 2
        closing = asyncio.ensure_future(host.close())
        await asyncio.sleep(0.05)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert all(map(is_gone, processes))

    run(body())


HOST = """
import asyncio, sys
from plugin_host import PluginHost

async def main():
    async with PluginHost(plugin_dirs=[sys.argv[1]], entry_points=False, only=["steady"]) as host:
        call = asyncio.ensure_future(host.call("steady", "sleep", {"seconds": 60}))
        await host.call("steady", "echo")
        print(host.plugins["steady"].pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_plugin_ends_by_itself_when_its_host_was_killed(wait_until: WaitUntil) -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(PERSONALITIES)], stdout=subprocess.PIPE, text=True
    )
    with host:
        assert host.stdout is not None
        plugin = psutil.Process(int(host.stdout.readline()))
        host.kill()
        wait_until(lambda: is_gone(plugin))


@pytest.mark.parametrize("ending", ["end of file", "shutdown"])
def test_both_endings_are_status_0(tmp_path: Path, ending: str) -> None:
    """The process itself, with no host's ladder that might have helped."""
    import socket

    from tests.served import HostEnd

    folder = write_plugin(tmp_path, "demo")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = subprocess.Popen(
            [sys.executable, "-m", "plugin_host_sdk", "--path", folder / "demo", "demo_plugin:plugin"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            env={**os.environ, "PLUGIN_HOST_COOKIE": "1"},
        )
        with child:
            theirs.close()
            host = HostEnd(ours)
            host.initialize("demo")
            if ending == "shutdown":
                assert host.result(host.ask("shutdown", {"grace_ms": 1000})) == {"running": 0}
            else:
                ours.close()
            assert child.wait(5) == 0
            assert child.stderr is not None
            assert child.stderr.read() == b""


@pytest.mark.parametrize("arguments", [["demo_plugin:plugin"], []])
def test_plugin_that_is_run_by_hand_explains_itself(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plugin_host_sdk", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=10,
    )
    assert done.returncode == 64
    assert "This is a plugin for plugin-host" in done.stderr
    assert "plugin-host call" in done.stderr
    assert done.stdout == ""


def test_plugin_that_is_starting_is_stopped_at_once(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    folder = write_plugin(tmp_path, "sleepy", "import time; time.sleep(60)", launch={"start_timeout_s": 60})

    async def body() -> None:
        host = stage("sleepy", dirs=[folder])
        entering = asyncio.ensure_future(host.__aenter__())
        await wait_until.aio(lambda: host.plugins and host.plugins["sleepy"].state is State.STARTING)
        began = time.monotonic()
        await host.stop("sleepy")
        await entering
        await host.close()
        assert time.monotonic() - began < 5

    run(body())
