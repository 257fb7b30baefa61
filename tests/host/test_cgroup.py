"""Groups of processes in the kernel: made whole or not at all, bounded, killed at once, removed."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugin_host import cgroup
from plugin_host.cgroup import PREFIX, Group, make_group, oom_kills, plain_group
from plugin_host.machine import Machine, Place
from tests.host.confined import HERE, MIB, groups_left, need, nothing_left, token
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = [pytest.mark.edges, pytest.mark.usefixtures("nothing_left")]

__all__ = ["nothing_left"]

FORKING = """
import os, sys
for _ in range(3): os.fork()
os.setsid() if os.getpid() != os.getpgrp() else None
sys.stdin.read()
"""


@contextmanager
def family(group: Group) -> Iterator[None]:
    """Eight processes in `group`, each in a session of its own."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "input()\n" + FORKING], stdin=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        try:
            group.add(child.pid)
            child.stdin.write(b"\n")
            child.stdin.flush()
            yield
        finally:
            child.kill()


def whole() -> Group:
    """A group with all that this machine has; the test is skipped where it has nothing."""
    memory, pids = "memory" in HERE.places, "pids" in HERE.places
    group = make_group(
        HERE,
        token(),
        memory_bytes=300 * MIB if memory else None,
        processes=30 if pids else None,
    )
    assert bool(group.folders) == bool(memory or pids or HERE.killer)
    if not group.folders:
        assert set(HERE.lacking) == {"memory", "pids"}
        pytest.skip(f"no cgroup can be made here: {HERE.lacking['pids']}")
    return group


def test_group_is_killed_as_a_whole_and_then_removed(run: Run, wait_until: WaitUntil) -> None:
    group = whole()
    with family(group):
        wait_until(lambda: len(group.pids()) == 8)
        assert group.kill()
        wait_until(lambda: not group.pids())
    assert run(group.remove())
    assert groups_left() == []


def test_group_without_a_switch_is_killed_one_by_one(run: Run, wait_until: WaitUntil) -> None:
    group = whole()
    group._killer = None
    with family(group):
        wait_until(lambda: len(group.pids()) == 8)
        assert group.kill()
        wait_until(lambda: not group.pids())
    assert run(group.remove())


def test_folder_that_is_still_used_is_given_up_within_its_bound(run: Run, wait_until: WaitUntil) -> None:
    group = whole()

    async def body() -> None:
        with family(group):
            began = time.monotonic()
            assert not await group.remove()
            assert 2 <= time.monotonic() - began < 6
            task = asyncio.ensure_future(group.remove())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            group.kill()
        assert await group.remove()

    run(body())


@pytest.fixture(params=["here", "files"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Group:
    """A group with nobody in it: one of this machine, and a plain folder, which is removed like one."""
    if request.param == "here":
        return whole()
    group = plain_group(Machine(killer=Place(2, str(tmp_path))), token())
    assert group is not None
    group.make()
    return group


def test_groups_that_a_plugin_made_inside_go_too(run: Run, empty: Group) -> None:
    for folder in empty.folders:
        os.makedirs(f"{folder}/its/own")
    assert run(empty.remove())
    assert not any(map(os.path.lexists, empty.folders))


def test_removing_twice_is_no_fault(run: Run, empty: Group) -> None:
    assert run(empty.remove())
    assert run(empty.remove())
    assert empty.pids() == frozenset()
    assert empty.peak_memory is None
    assert (empty.oom_kills, empty.refused_forks) == (0, 0)
    assert empty.kill()


def test_group_is_removed_where_no_descriptor_is_left(run: Run, empty: Group) -> None:
    async def body() -> None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
        try:
            assert await empty.remove()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        assert not any(map(os.path.lexists, empty.folders))

    run(body())


def test_group_that_cannot_be_made_whole_leaves_nothing(tmp_path: Path) -> None:
    """The memory of a folder that is no cgroup cannot be bounded."""
    machine = Machine(places={"memory": Place(1, str(tmp_path))}, killer=HERE.killer)
    with pytest.raises(FileNotFoundError) as caught:
        make_group(machine, token(), memory_bytes=1)
    assert caught.value.filename.endswith("memory.limit_in_bytes")
    assert list(tmp_path.iterdir()) == []
    assert groups_left() == []


def test_name_that_is_taken_is_an_error() -> None:
    need("pids")
    name = token()
    first = make_group(HERE, name, processes=9)
    with pytest.raises(FileExistsError):
        make_group(HERE, name, processes=9)
    for folder in first.folders:
        os.rmdir(folder)


def test_group_to_be_killed_needs_no_controller(run: Run) -> None:
    group = make_group(HERE, token())
    assert len(group.folders) == (1 if HERE.killer else 0)
    assert not group.is_out_of_memory
    assert group.peak_memory is None
    assert run(group.remove())
    assert make_group(HERE, token(), killable=False).folders == ()


class Kernel:
    """Files as version 2 shows them, where this machine has none that could be made."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.given = root / "cgroup.subtree_control"
        self.given.write_text("memory\n")
        really = os.mkdir

        def mkdir(path: str) -> None:
            really(path)
            for name in ("memory.max", "memory.oom.group", "pids.max", "cgroup.procs", "cgroup.kill"):
                Path(path, name).touch()

        monkeypatch.setattr(os, "mkdir", mkdir)


def test_version_2_has_everything_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(tmp_path, monkeypatch)
    place = Place(2, str(tmp_path))
    machine = Machine(places={"memory": place, "pids": place}, killer=place)
    group = make_group(machine, "run/demo/1", memory_bytes=MIB, processes=7)
    folder = tmp_path / f"{PREFIX}run.demo.1"
    assert group.folders == (str(folder),)
    assert kernel.given.read_text().startswith("+pids")  # memory was given already
    found = {name: (folder / name).read_text() for name in ("memory.max", "memory.oom.group", "pids.max")}
    assert found == {"memory.max": str(MIB), "memory.oom.group": "1", "pids.max": "7"}
    group.add(17)
    assert (folder / "cgroup.procs").read_text() == "17"
    assert group.pids() == {17}
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\n")
    (folder / "memory.events.local").write_text("oom_kill 4\n")
    (folder / "memory.peak").write_text("1000\n")
    (folder / "pids.events").write_text("max 3\n")
    assert (group.oom_kills, group.is_out_of_memory, group.refused_forks) == (1, True, 3)
    assert group.peak_memory == 1000
    assert oom_kills(Place(2, str(folder))) == 4
    assert group.kill()
    assert (folder / "cgroup.kill").read_text() == "1"


def of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    """A group of plain files, with limits."""
    Kernel(tmp_path, monkeypatch)
    place = Place(2, str(tmp_path))
    return make_group(Machine(places={"pids": place}, killer=place), "run/demo/2", processes=7)


def test_name_of_files_that_is_taken_is_an_error_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = of_files(tmp_path, monkeypatch)
    with pytest.raises(FileExistsError):
        of_files(tmp_path, monkeypatch)
    assert all(map(os.path.isdir, first.folders))


@pytest.mark.parametrize("switch", ["none", "refused"])
def test_those_in_it_are_killed_one_by_one_and_nobody_is_born_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    group = of_files(tmp_path, monkeypatch)
    (folder,) = map(Path, group.folders)
    (folder / "cgroup.kill").unlink()
    if switch == "refused":
        (folder / "cgroup.kill").symlink_to("/proc/self/stat")  # which nobody may write
    children = [
        subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) for _ in "ab"
    ]
    (folder / "cgroup.procs").write_text("".join(f"{child.pid}\n" for child in children))
    assert group.kill()
    assert (folder / "pids.max").read_text()[0] == "0"
    for child in children:
        with child:
            assert child.wait(10) == -signal.SIGKILL


def test_folder_that_cannot_be_removed_is_given_up_and_may_be_tried_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = of_files(tmp_path, monkeypatch)
    monkeypatch.setattr(cgroup, "_REMOVE_S", 0.05)
    assert not run(group.remove())
    for file in Path(group.folders[0]).iterdir():
        file.unlink()
    assert run(group.remove())


@pytest.mark.parametrize("text", ["", "max\n", "oom_kill x\n", "\0\xff\n"])
def test_counter_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "memory.events.local").write_text(text)
    assert oom_kills(Place(2, str(tmp_path))) is None
    assert oom_kills(Place(1, str(tmp_path))) is None
