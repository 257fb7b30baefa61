"""Plugins at their limits, through a whole host: what stops them, and what callers are told."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_host import facility
from plugin_host.cgroup import PREFIX
from plugin_host.errors import LaunchError, PluginDied, SpawnError
from plugin_host.machine import Machine
from tests.host.confined import HERE, MIB, here_or_without
from tests.run import Run
from tests.stage import stage, write_plugin

pytestmark = pytest.mark.edges

ID = f"bounded{os.getpid()}"
"""Its groups are told from those of tests that run beside."""

CODE = """
import os, resource, threading, time

AT_IMPORT = open("/proc/self/cgroup").read()
LIMITS = [resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU)]

@plugin.command("where")
def where(ctx):
    return {"import": AT_IMPORT, "limits": LIMITS, "threads": threading.active_count()}

@plugin.command("hog")
def hog(ctx):
    have = []
    while True:
        have.append(b"x" * (1 << 20))

@plugin.command("burn")
def burn(ctx):
    while True:
        pass

@plugin.command("nap")
def nap(ctx):
    time.sleep(0.2)
    return threading.active_count()

@plugin.command("later")
async def later(ctx):
    return "late"
"""


@pytest.fixture(autouse=True)
def _no_group_left() -> Iterator[None]:
    yield
    assert groups() == set()


def groups() -> set[str]:
    places = [*HERE.places.values(), *([HERE.killer] if HERE.killer else [])]
    return {
        f"{place.folder}/{name}"
        for place in places
        for name in os.listdir(place.folder)
        if name.startswith(PREFIX) and f".{ID}." in name
    }


def bounded(folder: Path, **limits: Any) -> list[Path]:
    return [write_plugin(folder, ID, CODE, limits=limits)]


def test_author_code_finds_itself_inside_its_group_at_import(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        folders = bounded(tmp_path, memory_bytes=100 * MIB, processes=30, open_files=64, cpu_s=50)
        async with stage(ID, dirs=folders) as host:
            found = await host.call(ID, "where")
            inside = [line for line in found["import"].splitlines() if f".{ID}." in line]
            assert bool(inside) == bool(HERE.places)
            assert found["limits"] == [[64, 64], [50, 51]]

    run(body())


@here_or_without
def test_call_of_a_memory_hog_fails_with_its_limit_named(
    run: Run, tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facility, "survey", lambda: machine)

    async def body() -> None:
        async with stage(ID, dirs=bounded(tmp_path, memory_bytes=100 * MIB)) as host:
            with pytest.raises(PluginDied) as caught:
                await host.call(ID, "hog")
            assert "its memory limit of 100 MiB was" in str(caught.value)

    run(body())


@here_or_without
def test_import_of_a_memory_hog_fails_with_its_limit_in_the_report(
    run: Run, tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facility, "survey", lambda: machine)
    hog = "import time\nhave = b'x' * (150 << 20)\ntime.sleep(60)"
    write_plugin(tmp_path, ID, head=hog, limits={"memory_bytes": 100 * MIB})

    async def body() -> None:
        async with stage(ID, dirs=[tmp_path]) as host:
            report = host.plugins[ID].death
            assert report is not None
            assert report.limit is not None
            assert "its memory limit of 100 MiB was" in report.limit
            assert report.how == f"did not get ready: {report.limit}"
            assert report.peak_memory is not None
            assert report.peak_memory > 60 * MIB
            assert report.uptime > 0
            assert report.pid is not None

    run(body())


@pytest.mark.parametrize("spare", range(6))
def test_program_under_limits_without_descriptors_stops_no_host(
    run: Run, tmp_path: Path, spare: int
) -> None:
    launch = {"argv": ["cat"]}
    write_plugin(tmp_path, ID, launch=launch, protocol="msgpack-rpc", limits={"processes": 30})

    async def body() -> None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        async with stage(ID, "steady", dirs=[tmp_path]) as host:
            await host.stop(ID)
            first_free = os.dup(0)
            os.close(first_free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + spare, limit[1]))
            try:
                with pytest.raises(SpawnError, match="open"):
                    await host.start(ID)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            assert groups() == set()
            await host.start(ID)
            await host.call("steady", "pid")

    run(body())


def test_call_that_uses_up_the_processor_time_fails_with_its_limit_named(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(ID, dirs=bounded(tmp_path, cpu_s=1)) as host:
            with pytest.raises(PluginDied, match="its cpu limit of 1 s of processor time was used up"):
                await host.call(ID, "burn")

    run(body())


def test_fewest_open_files_are_enough_to_serve(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(ID, dirs=bounded(tmp_path, open_files=16)) as host:
            assert (await host.call(ID, "where"))["limits"][0] == [16, 16]
            assert await host.call(ID, "later") == "late"

    run(body())


def test_plugin_with_few_threads_answers_all_calls(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(ID, dirs=bounded(tmp_path, processes=5)) as host:
            threads = await asyncio.gather(*(host.call(ID, "nap") for _ in range(12)))
            if "pids" in HERE.places:
                assert max(threads) <= 5

    run(body())


RAW = """
import sys, msgpack
unpacker = msgpack.Unpacker()
while data := sys.stdin.buffer.raw.read(65536):
    unpacker.feed(data)
    for _, msgid, method, params in unpacker:
        if method == "hog":
            have = []
            while True:
                have.append(b"x" * (1 << 20))
        sys.stdout.buffer.write(msgpack.packb([1, msgid, None, params]))
        sys.stdout.buffer.flush()
"""


def raw(folder: Path, *argv: str, **limits: Any) -> list[Path]:
    launch = {"argv": list(argv)}
    return [write_plugin(folder, ID, launch=launch, protocol="msgpack-rpc", limits=limits)]


@here_or_without
def test_raw_peer_is_held_to_its_limits(
    run: Run, tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facility, "survey", lambda: machine)

    async def body() -> None:
        folders = raw(tmp_path, sys.executable, "-c", RAW, memory_bytes=100 * MIB, open_files=64)
        async with stage(ID, dirs=folders) as host:
            assert await host.call(ID, "echo", [1, 2]) == [1, 2]
            with pytest.raises(PluginDied, match="its memory limit of 100 MiB was"):
                await host.call(ID, "hog", [])

    run(body())


def test_raw_peer_that_is_not_there_is_told_as_without_limits(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(ID, dirs=raw(tmp_path, "no-such-tool", processes=9)) as host:
            assert isinstance(host.plugins[ID].error, SpawnError)
            assert "it is in no folder of PATH" in str(host.plugins[ID].error)

    run(body())


def test_limit_that_ends_a_plugin_in_its_import_is_named(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, ID, head="while True: pass", limits={"cpu_s": 1})

    async def body() -> None:
        async with stage(ID, dirs=[folder]) as host:
            error = host.plugins[ID].error
            assert isinstance(error, LaunchError)
            assert "its cpu limit of 1 s of processor time was used up" in str(error)

    run(body())
