"""A host that is short of what it needs while a plugin dies."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_host import PluginDied, SpawnError, State, ladder
from tests.run import Run
from tests.session import is_alive
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges


def test_a_plugin_can_be_started_again_after_clearing_up_failed(
    run: Run, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture, wait_until: WaitUntil
) -> None:
    asked = asyncio.Event()

    async def no_descriptors(*_: Any, **__: Any) -> None:
        asked.set()
        raise OSError(errno.EMFILE, "Too many open files")

    async def body() -> None:
        async with stage("dies_midcall") as host:
            with monkeypatch.context() as patch:
                patch.setattr(ladder, "stop", no_descriptors)
                with pytest.raises(PluginDied):
                    await host.call("dies_midcall", "leave", {"status": 3})
                await asked.wait()
                await wait_until.aio(lambda: "clearing up after it failed" in logged.text)
            await host.start("dies_midcall")
            assert host.plugins["dies_midcall"].state is State.READY

    run(body())


@contextlib.contextmanager
def no_descriptors_left() -> Iterator[Callable[[], None]]:
    """This process can open nothing; what is called takes what has become free since."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 20, hard))

    def take() -> None:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))

    try:
        take()
        yield take
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in taken:
            os.close(fd)


CODE = """
    import subprocess

    @plugin.command("spawn")
    def spawn(ctx):
        "A process that has left its session, and that only a look at all processes finds."
        return subprocess.Popen(["sleep", "60"], start_new_session=True).pid
"""


def test_a_host_without_descriptors_stops_all_of_a_plugin_and_says_why_it_cannot_start_it(
    run: Run, tmp_path: Path
) -> None:
    async def body() -> None:
        async with stage("demo", dirs=[write_plugin(tmp_path, "demo", CODE)]) as host:
            plugin = host.plugins["demo"]
            pids = [plugin.pid, await host.call("demo", "spawn")]
            with no_descriptors_left() as take_what_is_free:
                await host.stop("demo")
                take_what_is_free()
                with pytest.raises(SpawnError, match=r"may open no more files \(its limit is \d+"):
                    await host.restart("demo")
                assert plugin.state is State.FAILED
            assert not any(map(is_alive, pids))
            await host.start("demo")
            assert await host.call("demo", "spawn")

    run(body())
