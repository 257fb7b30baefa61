"""Plugins without limits are in a group of their own soon after they are ready, and so is what hides."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_host import PluginHost, facility
from plugin_host.cgroup import PREFIX, Group
from plugin_host.machine import Machine
from tests.host.confined import HERE
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.victim import Victim, is_there, marked
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

CODE = """
    import os, subprocess

    @plugin.command("hide")
    def hide(ctx, path):
        script = f"trap '' TERM; echo $$ >{path}.new; mv {path}.new {path}; while :; do sleep 0.2; done"
        # The shell between them ends at once: the daemon has no mark, no session and no parent of ours.
        subprocess.run(["env", "-i", "setsid", "-f", "/bin/sh", "-c", script],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @plugin.command("nothing")
    def nothing(ctx):
        pass

    @plugin.command("die")
    def die(ctx):
        os._exit(3)
"""

PLACE = HERE.killer or HERE.places.get("pids") or HERE.places.get("memory")
needs_groups = pytest.mark.skipif(PLACE is None, reason="no cgroup can be made here")


def groups(run: str) -> list[Path]:
    """The folders of groups of a host's run."""
    assert PLACE is not None
    return [one for one in Path(PLACE.folder).iterdir() if one.name.startswith(f"{PREFIX}{run}")]


def holds(run: str, pid: int | None) -> Callable[[], bool]:
    """Tests whether a process is in a group of the run."""
    return lambda: any(str(pid) in (one / "cgroup.procs").read_text().split() for one in groups(run))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    policy = {"policy": "on-failure", "backoff_initial_s": 0.01, "backoff_max_s": 0.01}
    return write_plugin(tmp_path, "hider", CODE, restart=policy)


async def hidden(host: PluginHost, said: Path, wait_until: WaitUntil) -> int:
    """The daemon, once it runs."""
    _forget(said)
    await host.call("hider", "hide", {"path": str(said)})
    await wait_until.aio(said.exists)
    daemon = _number(said)
    assert daemon not in marked(host._run)
    assert os.getsid(daemon) == daemon
    return daemon


def _forget(said: Path) -> None:
    said.unlink(missing_ok=True)


def _number(said: Path) -> int:
    return int(said.read_text())


@needs_groups
def test_daemon_that_hid_is_gone_after_a_stop_and_after_a_crash(
    run: Run, folder: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with stage("hider", dirs=[folder]) as host:
            plugin = host.plugins["hider"]
            first = plugin.pid
            await wait_until.aio(holds(host._run, first))
            daemon = await hidden(host, tmp_path / "daemon", wait_until)
            with pytest.raises(Exception, match="exited with status 3"):
                await host.call("hider", "die")
            await host.call("hider", "nothing")  # waits for the restart
            assert not is_there(daemon)
            assert plugin.pid != first
            await wait_until.aio(holds(host._run, plugin.pid))
            daemon = await hidden(host, tmp_path / "daemon", wait_until)
            assert len(groups(host._run)) == 1
            await host.stop("hider")
            assert not is_there(daemon)
            assert groups(host._run) == []

    run(body())


@needs_groups
def test_daemon_that_hid_is_gone_after_its_host_was_killed(
    folder: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    said = tmp_path / "daemon"
    code = f"""
    from plugin_host.cgroup import PREFIX
    place = Path({PLACE.folder if PLACE else ""!r})
    def holds():
        return any(str(told["pids"][0]) in (one / "cgroup.procs").read_text().split()
                   for one in place.glob(PREFIX + host._run + "*"))
    while not holds():
        await asyncio.sleep(0.01)
    await host.call("hider", "hide", {{"path": {str(said)!r}}})
    while not Path({str(said)!r}).exists():
        await asyncio.sleep(0.01)
    told["others"] = [int(Path({str(said)!r}).read_text())]
    """
    with Victim(["hider"], [folder], code) as victim:
        assert victim.told["others"][0] not in marked(victim.told["run"])
        assert victim.seconds_until_gone(victim.kill()) < 2.0
        wait_until(lambda: not is_there(victim.told["keeper"]))
        assert groups(victim.told["run"]) == []


@needs_groups
def test_what_the_plugin_started_before_is_moved_with_it(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    head = "import subprocess; CHILD = subprocess.Popen(['sleep', '600'])"
    code = "@plugin.command('child')\ndef child(ctx):\n    return CHILD.pid"
    folder = write_plugin(tmp_path, "parent", code, head=head)

    async def body() -> None:
        async with stage("parent", dirs=[folder]) as host:
            child = await host.call("parent", "child")
            await wait_until.aio(holds(host._run, child))
            assert holds(host._run, host.plugins["parent"].pid)()

    run(body())


@needs_groups
def test_plugin_that_ends_while_it_is_moved_leaves_no_group(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    add = Group.add
    adding: list[int] = []

    def kill_and_add(group: Group, pid: int) -> None:
        adding.append(pid)
        os.kill(pid, signal.SIGKILL)
        add(group, pid)

    monkeypatch.setattr(Group, "add", kill_and_add)

    async def body() -> None:
        async with stage("hider", dirs=[folder]) as host:
            await wait_until.aio(lambda: len(adding) == 2)  # the one that was started again, too
        assert groups(host._run) == []

    run(body())


def test_stop_at_once_waits_for_no_group(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with stage("hider", dirs=[folder]) as host:
            await host.stop("hider")
            await asyncio.sleep(0)
            if PLACE is not None:
                assert groups(host._run) == []
            assert host._facilities is not None
            assert not host._facilities.encloser._waiting

    run(body())


@pytest.mark.parametrize("how", ["nowhere", "refused"])
def test_host_without_the_right_to_make_groups_works_and_does_not_complain(
    run: Run,
    folder: Path,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
    wait_until: WaitUntil,
) -> None:
    if how == "nowhere":
        monkeypatch.setattr(facility, "survey", Machine)
    elif PLACE is None:
        pytest.skip("nobody would ask")
    refused: list[Group] = []

    def refuse(group: Group) -> None:
        refused.append(group)
        raise PermissionError(13, "Permission denied", group.folders[0])

    monkeypatch.setattr(Group, "make", refuse)

    async def body() -> None:
        async with stage("hider", dirs=[folder]) as host:
            if how == "refused":
                await wait_until.aio(lambda: bool(refused) and not host._keeper._folders)
            await host.call("hider", "nothing")
            await host.stop("hider")

    run(body())
    told = [one.message for one in logged.records if one.levelname in ("WARNING", "ERROR")]
    # What still ran when it was stopped is another matter.
    assert [message for message in told if not message.startswith("plugin hider stopped: ")] == []
