"""A new version beside the old one: no call fails, nothing is cut off, and a bad one changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from plugin_host import LaunchError, ManifestError, PluginDied, PluginHost, PluginNotFound
from plugin_host.event import PluginSwapped, StateChanged
from plugin_host.instance import Instance
from plugin_host.state import State
from tests.run import Run
from tests.stage import runs, stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import os, time

    @plugin.command("version")
    def version(ctx): return plugin.version

    @plugin.command("nap")
    def nap(ctx, seconds: float): time.sleep(seconds); return plugin.version

    @plugin.command("stall")
    async def stall(ctx): time.sleep(100)  # blocks the event loop

    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts([sdk.exec.Handler("sh", default_command=["sh"])]))
"""


def release(folder: Path, version: str, head: str = "", **keys: Any) -> Path:
    """Write, or write over, the plugin in this version."""
    home = folder / "evolving"
    if not home.exists():
        write_plugin(folder, "evolving", CODE, restart={"backoff_initial_s": 0.05}, **keys)
    code = (home / "evolving_plugin.py").read_text().splitlines()
    code = [line for line in code if not line.startswith("raise ")]
    code = [
        f"plugin = sdk.Plugin('evolving', version={version!r})" if line.startswith("plugin = ") else line
        for line in code
    ]
    (home / f"evolving_v{version.replace('.', '_')}.py").write_text("\n".join([head, *code]))
    manifest = json.loads((home / "plugin_manifest.json").read_text())
    manifest["version"] = version
    manifest["launch"]["entry_point"] = f"evolving_v{version.replace('.', '_')}:plugin"
    (home / "plugin_manifest.json").write_text(json.dumps(manifest))
    return folder


def evolving(folder: Path) -> PluginHost:
    return stage("evolving", dirs=[folder])


def test_host_whose_only_plugin_was_broken_has_a_keeper_once_it_runs(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        release(tmp_path, "1.0.0")
        manifest = tmp_path / "evolving" / "plugin_manifest.json"
        sound = manifest.read_text()
        manifest.write_text("{}")
        async with evolving(tmp_path) as host:
            (plugin,) = host.plugins.values()
            assert plugin.error is not None
            assert host._keeper.pid is None
            manifest.write_text(sound)
            await host.reload(plugin.id)
            assert plugin.state is State.READY
            assert host._keeper.pid is not None

    run(body())


@pytest.mark.deadline(60)
def test_old_version_that_hangs_is_ended_with_its_stacks(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        health = {"interval_s": 0.2, "timeout_s": 0.3, "misses": 2}
        release(tmp_path, "1.0.0", health=health)
        async with evolving(tmp_path) as host:
            call = asyncio.create_task(host.call("evolving", "stall"))
            await host.call("evolving", "version")
            release(tmp_path, "2.0.0")
            await host.reload("evolving")
            with pytest.raises(PluginDied, match="was unresponsive and killed by the host") as caught:
                await call
            report = caught.value.report
            assert report is not None
            assert "in stall" in (report.hang or "")
            assert report.next == "It had been replaced already."
            assert await host.call("evolving", "version") == "2.0.0"
            assert host.plugins["evolving"].healthy

    run(body())


def test_new_version_takes_over_without_a_failed_call(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        release(tmp_path, "1.0.0")
        async with evolving(tmp_path) as host:
            events, seen, stop = host.events(), set(), False

            async def keep_asking() -> None:
                while not stop:
                    seen.add(await host.call("evolving", "version", timeout=10))

            askers = [asyncio.create_task(keep_asking()) for _ in range(4)]
            release(tmp_path, "2.0.0")
            await host.reload("evolving")
            assert await host.call("evolving", "version") == "2.0.0"
            await wait_until.aio(lambda: "2.0.0" in seen)  # those who ask may still wait for the old one
            stop = True
            await asyncio.gather(*askers)
            assert seen == {"1.0.0", "2.0.0"}
            plugin = host.plugins["evolving"]
            assert (plugin.version, plugin.state) == ("2.0.0", State.READY)
            swapped = await anext(events)
            assert isinstance(swapped, PluginSwapped)
            assert (swapped.old_version, swapped.new_version, swapped.pid) == ("1.0.0", "2.0.0", plugin.pid)

    run(body())


def test_old_one_finishes_its_calls_and_sessions_and_is_gone(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        release(tmp_path, "1.0.0")
        async with evolving(tmp_path) as host:
            old = host.plugins["evolving"].pid
            nap = asyncio.create_task(host.call("evolving", "nap", {"seconds": 0.5}))
            session = await host.exec("evolving", ["sh", "-c", "read line; echo got $line"], tty=False)
            await asyncio.sleep(0)
            release(tmp_path, "2.0.0")
            await host.reload("evolving")
            assert await host.call("evolving", "version") == "2.0.0"
            assert await nap == "1.0.0"
            assert {one.id for one in await host.sessions()} == {session.id}
            assert runs(old), "a session of it is open"
            await session.write(b"through\n")
            async with await session.attach() as viewer:
                text = b"".join([item.data async for item in viewer])  # type: ignore[union-attr]
            assert text == b"got through\n"
            assert (await session.wait()).code == 0
            await wait_until.aio(lambda: not runs(old))
            assert str(host.plugins["evolving"].state) == State.READY

    run(body())


@pytest.mark.parametrize("head", ["import no_such_module", "raise SystemExit(3)"])
def test_new_version_that_does_not_start_changes_nothing(run: Run, tmp_path: Path, head: str) -> None:
    async def body() -> None:
        release(tmp_path, "1.0.0")
        async with evolving(tmp_path) as host:
            events, pid = host.events(), host.plugins["evolving"].pid
            release(tmp_path, "2.0.0", head)
            with pytest.raises(LaunchError):
                await host.reload("evolving")
            plugin = host.plugins["evolving"]
            assert (plugin.version, plugin.pid, plugin.state) == ("1.0.0", pid, State.READY)
            assert plugin.error is None
            assert await host.call("evolving", "version") == "1.0.0"
            assert [one for one in events._waiting if isinstance(one, StateChanged)] == []
            # A version that does start takes over afterwards.
            release(tmp_path, "3.0.0")
            await host.reload("evolving")
            assert await host.call("evolving", "version") == "3.0.0"

    run(body())


def test_broken_manifest_and_one_that_is_gone_change_nothing(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        release(tmp_path, "1.0.0")
        async with evolving(tmp_path) as host:
            file = tmp_path / "evolving" / "plugin_manifest.json"
            file.write_text("{")
            with pytest.raises(ManifestError, match=r"plugin_manifest\.json"):
                await host.reload("evolving")
            file.unlink()
            with pytest.raises(PluginNotFound):
                await host.reload("evolving")
            assert await host.call("evolving", "version") == "1.0.0"
            assert str(host.plugins["evolving"].state) == State.READY

    run(body())


def test_program_may_go_to_another_folder_before_it_reloads(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(tmp_path, "demo")
    (tmp_path / "host.toml").write_text("[plugins.demo.settings]\n")
    monkeypatch.chdir(tmp_path)

    async def body() -> None:
        config = Path("host.toml")
        async with PluginHost(plugin_dirs=["demo"], entry_points=False, config=config) as host:
            monkeypatch.chdir("/")
            await host.reload("demo")
            assert host.plugins["demo"].state is State.READY

    run(body())


def test_plugin_that_does_not_run_is_started_in_its_new_version(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        release(tmp_path, "1.0.0")
        async with evolving(tmp_path) as host:
            await host.stop("evolving")
            release(tmp_path, "2.0.0")
            await host.reload("evolving")
            assert await host.call("evolving", "version") == "2.0.0"

    run(body())


def test_host_closes_with_old_ones_still_busy(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        release(tmp_path, "1.0.0")
        async with evolving(tmp_path) as host:
            pids = [host.plugins["evolving"].pid]
            for version in ("2.0.0", "3.0.0"):
                await host.exec("evolving", ["sleep", "60"], tty=False)
                release(tmp_path, version)
                await host.reload("evolving")
                pids.append(host.plugins["evolving"].pid)
            assert len(await host.sessions()) == 2
            assert all(runs(pid) for pid in pids)
        assert not any(runs(pid) for pid in pids)

    run(body())


def test_death_of_one_that_was_replaced_disturbs_nobody(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        release(tmp_path, "1.0.0")
        async with evolving(tmp_path) as host:
            old = host.plugins["evolving"].pid
            assert old is not None
            await host.exec("evolving", ["sleep", "60"], tty=False)
            release(tmp_path, "2.0.0")
            await host.reload("evolving")
            os.kill(old, 9)
            await wait_until.aio(lambda: host.plugins["evolving"].death is not None)
            assert str(host.plugins["evolving"].state) == State.READY
            assert await host.call("evolving", "version") == "2.0.0"

    run(body())


def test_plugin_that_is_stopped_stays_so_whatever_was_to_reload_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        release(tmp_path, "1.0.0")
        async with evolving(tmp_path) as host:
            plugin, began, original = host.plugins["evolving"], asyncio.Event(), Instance.launch

            async def launch(instance: Instance) -> None:
                began.set()
                await original(instance)

            monkeypatch.setattr(Instance, "launch", launch)
            reloads = [asyncio.create_task(host.reload("evolving")) for _ in range(3)]
            await began.wait()
            await host.stop("evolving")
            assert plugin.state is State.STOPPED
            found = await asyncio.gather(*reloads, return_exceptions=True)
            assert [type(one) for one in found] == [LaunchError] * 3
            assert plugin.state is State.STOPPED
            await host.reload("evolving")
            assert str(plugin.state) == State.READY

    run(body())


def test_plugin_that_is_stopped_while_it_is_looked_for_anew_stays_so(
    run: Run, tmp_path: Path, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, may_go_on = threading.Event(), threading.Event()

    async def body() -> None:
        release(tmp_path, "1.0.0")
        async with evolving(tmp_path) as host:
            find = host._search.find_again

            def find_again(id: str) -> Any:
                looks.set()
                may_go_on.wait()
                return find(id)

            monkeypatch.setattr(host._search, "find_again", find_again)
            reload = asyncio.create_task(host.reload("evolving"))
            await wait_until.aio(looks.is_set)
            await host.stop("evolving")
            may_go_on.set()
            with pytest.raises(LaunchError, match="was stopped meanwhile"):
                await reload
            assert host.plugins["evolving"].state is State.STOPPED

    run(body())


def test_restart_that_is_under_way_gives_way_to_a_stop_and_not_to_another(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        release(tmp_path, "1.0.0")
        async with evolving(tmp_path) as host:
            plugin = host.plugins["evolving"]
            await asyncio.gather(host.restart("evolving"), host.restart("evolving"))
            assert str(plugin.state) == State.READY
            restart = asyncio.create_task(host.restart("evolving"))
            await host._supervisors["evolving"].next_move()
            assert str(plugin.state) == State.STOPPING
            await host.stop("evolving")
            with pytest.raises(LaunchError, match="was stopped meanwhile"):
                await restart
            assert str(plugin.state) == State.STOPPED

    run(body())
