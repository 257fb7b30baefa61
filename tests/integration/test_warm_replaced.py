"""Forkservers that were replaced or killed: their plugins end as others do, and nothing is left."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from plugin_host import PluginDied
from tests import venv
from tests.forked import folder, forkserver_of, host_of, no_variable, parent_of
from tests.run import Run
from tests.stage import write_plugin
from tests.victim import is_there
from tests.wait import WaitUntil

pytestmark = [
    pytest.mark.edges,
    pytest.mark.skipif(sys.platform != "linux", reason="forks need Linux"),
]


__all__ = ["folder", "no_variable"]  # fixtures


@contextmanager
def other_umask() -> Iterator[None]:
    before = os.umask(0o77)
    try:
        yield
    finally:
        os.umask(before)


def test_forkserver_that_was_replaced_tells_how_its_plugins_end_and_ends_with_the_last(
    run: Run, folder: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with host_of("demo", "other", folder=folder) as host:
            first = forkserver_of(host)
            helper = host._forkserver._helper
            assert helper is not None
            await wait_until.aio(lambda: helper._spares)
            spare = helper._spares[0].pid
            with other_umask():
                await host.restart("other")
                assert parent_of(host, "other") == forkserver_of(host) != first
                await wait_until.aio(lambda: not is_there(spare))
                assert parent_of(host, "demo") == first
                with pytest.raises(PluginDied, match="exited with status 7"):
                    await host.call("demo", "leave", {"code": 7})
                await wait_until.aio(lambda: not is_there(first))
                await wait_until.aio(lambda: not host._forkserver._retired)

    run(body())


def test_plugin_of_a_forkserver_that_was_replaced_stops_as_ever(
    run: Run, folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with host_of("demo", "other", folder=folder) as host:
            with other_umask():
                await host.restart("other")
                await host.stop("demo")

    run(body())
    assert [one for one in logged.messages if "demo stopped: exited with status 0" in one]
    assert not [one for one in logged.messages if "lost" in one]


def test_host_that_closes_takes_every_forkserver_with_it_also_one_that_hangs(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin_host.warm.helper._END_S", 0.05)
    monkeypatch.setattr("plugin_host.warm.childreaper.ANSWER_S", 0.1)

    async def body() -> None:
        async with host_of("demo", "other", folder=folder) as host:
            first = forkserver_of(host)
            with other_umask():
                await host.restart("other")
            second = forkserver_of(host)
            os.kill(first, signal.SIGSTOP)
        assert not is_there(first)
        assert not is_there(second)

    run(body())


def test_many_replacements_leave_one_forkserver_for_each_that_has_plugins(
    run: Run, folder: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with host_of("demo", "other", folder=folder) as host:
            seen = {forkserver_of(host)}
            for _ in range(4):
                with other_umask():
                    await host.restart("other")
                    seen.add(forkserver_of(host))
                await host.restart("other")
                seen.add(forkserver_of(host))
            assert len(seen) > 4
            needed = {parent_of(host, "demo"), parent_of(host, "other"), forkserver_of(host)}
            await wait_until.aio(lambda: {pid for pid in seen if is_there(pid)} == needed)

    run(body())


@contextmanager
def subreaper() -> Iterator[None]:
    """While this process is the one to which orphans among its descendants are given."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(36, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        assert libc.prctl(36, 0, 0, 0, 0) == 0


def test_host_to_whom_orphans_are_given_loses_no_status_and_leaves_no_zombie(
    run: Run, folder: Path, wait_until: WaitUntil
) -> None:
    before = set(psutil.Process().children())

    async def body() -> None:
        async with host_of("demo", "other", folder=folder) as host:
            helper = host._forkserver._helper
            assert helper is not None
            await wait_until.aio(lambda: helper._spares)
            spare = psutil.Process(helper._spares[0].pid)
            os.kill(helper.pid, signal.SIGKILL)
            await wait_until.aio(lambda: host._forkserver.pid is None)
            assert parent_of(host, "demo") == os.getpid()
            with pytest.raises(PluginDied, match="killed by SIGSEGV"):
                await host.call("demo", "die", {"number": signal.SIGSEGV})
            await wait_until.aio(lambda: not spare.is_running())
        assert set(psutil.Process().children()) <= before

    with subreaper():
        run(body())


LATE = """
import asyncio, json, os, sys
from pathlib import Path
from plugin_host import PluginHost
from plugin_host.configuration import Configuration, Warm

folder, pth, source = sys.argv[1:]

async def main():
    warm = Configuration(warm=Warm(launch="always"))
    async with PluginHost(plugin_dirs=[folder], entry_points=False, config=warm) as host:
        told = [await host.call("demo", "find")]
        Path(pth).write_text(source + "\\n")
        await host.restart("demo")
        told.append(await host.call("demo", "find"))
        told.append((await host.call("demo", "parent")) == host._forkserver.pid)
        print(json.dumps(told))

asyncio.run(main())
"""


def test_folder_that_is_put_on_the_path_while_the_host_runs_is_found_by_a_forked_plugin(
    tmp_path: Path,
) -> None:
    packages = venv.bare(tmp_path / "venv")
    venv.lend_all(packages)
    source = tmp_path / "source"
    source.mkdir()
    (source / "late_module.py").write_text("")
    code = """
        import importlib.util, os

        @plugin.command("find")
        def find(ctx):
            return importlib.util.find_spec("late_module") is not None

        @plugin.command("parent")
        def parent(ctx):
            return os.getppid()
    """
    folder = write_plugin(tmp_path / "plugins", "demo", code)
    python = tmp_path / "venv" / "bin" / "python"
    done = subprocess.run(
        [python, "-c", LATE, folder, packages / "late.pth", source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[false, true, true]\n", "")
