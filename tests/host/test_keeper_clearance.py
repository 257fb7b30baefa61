"""Clearing away: time to go by oneself, then a kill for everybody, and no folder left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_host.keeper import cgroup, clearance, procfs
from plugin_host.keeper.census import Census
from plugin_host.keeper.clearance import clear
from plugin_host.keeper.procfs import ProcessRow, read_row
from tests.victim import CGROUP_ROOTS

RUN = f"clearance-{os.getpid()}"

UP = "print('up', flush=True)\n"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + UP + "time.sleep(60)"


class Child(subprocess.Popen[str]):
    """A marked program in a session of its own that has said a line, kept as `line`."""

    def __init__(self, code: str, *, run: str | None = RUN) -> None:
        mark = {"PLUGIN_HOST_RUN": f"{run}/demo/1"} if run else {}
        super().__init__(
            [sys.executable, "-S", "-c", code],
            env=os.environ | mark,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.stdout is not None
        self.line = self.stdout.readline().strip()

    def __exit__(self, *error: object) -> None:
        self.kill()
        super().__exit__(None, None, None)


def census(*folders: str) -> Census:
    return Census(RUN.encode(), [os.fsencode(folder) for folder in folders])


def test_nobody_there_is_over_soon() -> None:
    began = time.monotonic()
    assert clear(census(), grace_s=60)
    assert time.monotonic() - began < 10


def test_one_that_goes_by_itself_is_left_alone() -> None:
    with Child(UP + "import time; time.sleep(0.2); raise SystemExit(7)") as child:
        assert clear(census(), grace_s=10)
        assert child.wait() == 7


def test_one_that_stays_is_killed_when_its_time_is_over() -> None:
    with Child(DEAF) as child:
        began = time.monotonic()
        assert clear(census(), grace_s=0.3)
        assert time.monotonic() - began >= 0.3
        assert child.wait() == -9


def test_stopped_one_is_killed() -> None:
    with Child(UP + "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)") as child:
        assert clear(census(), grace_s=0)
        assert child.wait() == -9


def test_other_runs_and_unmarked_programs_are_left_alone() -> None:
    with Child(DEAF, run="another") as one, Child(DEAF, run=None) as two, Child(DEAF) as ours:
        assert clear(census(), grace_s=0)
        assert ours.wait() == -9
        assert (one.poll(), two.poll()) == (None, None)


def test_group_that_others_are_in_is_killed_one_by_one() -> None:
    """A marked process that joined the group of somebody else, in the session of somebody else."""
    code = f"""
import os, subprocess, sys
run = dict(os.environ, PLUGIN_HOST_RUN="{RUN}/demo/1")
child = subprocess.Popen(["sleep", "60"], env=run)
print(child.pid, flush=True)
print(child.wait(), flush=True)
input()
"""
    with Child(code, run=None) as stranger:
        mine = Census(RUN.encode(), [], host_session=stranger.pid)
        assert clear(mine, grace_s=0)
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "-9\n"
        assert stranger.poll() is None


def as_in_an_exec(monkeypatch: pytest.MonkeyPatch, pid: int, until: float) -> None:
    """Neither its environment nor its command line can be read until then."""
    whole, paths = procfs._read, (f"/proc/{pid}/environ", f"/proc/{pid}/cmdline")

    def read(path: str, **options: Any) -> bytes:
        return b"" if path in paths and time.monotonic() < until else whole(path, **options)

    monkeypatch.setattr(procfs, "_read", read)


def test_process_in_the_midst_of_an_exec_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with Child(DEAF) as child:
        as_in_an_exec(monkeypatch, child.pid, time.monotonic() + 0.3)
        assert clear(census(), grace_s=0)
        assert child.wait() == -9


def test_process_that_never_has_an_environment_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clearance, "_EXEC_S", 0.2)
    with Child(DEAF, run=None) as child:
        as_in_an_exec(monkeypatch, child.pid, time.monotonic() + 600)
        began = time.monotonic()
        assert clear(census(), grace_s=0)
        assert 0.2 < time.monotonic() - began < 5
        assert child.poll() is None


def test_program_without_an_environment_is_no_reason_to_wait() -> None:
    code = "import os; os.execve('/bin/sh', ['sh', '-c', 'echo up; read line'], {})"
    with Child(code, run=None) as child:
        row = read_row(child.pid)
        assert row is not None
        assert procfs.read_environ(child.pid) == b""
        assert not procfs.is_in_exec(row)


def test_process_that_is_not_the_one_that_was_seen_is_not_signalled() -> None:
    with Child(DEAF) as child:
        row = read_row(child.pid)
        assert row is not None
        earlier = ProcessRow(row.pid, row.parent, row.group, row.session, row.started - 1, False)
        clearance._kill_one(earlier, None)
        clearance._kill_one(row, b"a run it does not carry")
        assert child.poll() is None
        clearance._kill_one(row, RUN.encode())
        assert child.wait() == -9


def test_system_without_pidfds_is_cleared_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    monkeypatch.setattr(clearance, "_kill_group", lambda group, look: False)
    with Child(DEAF) as child:
        assert clear(census(), grace_s=0)
        assert child.wait() == -9


def test_one_that_cannot_be_killed_is_spared_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(row: ProcessRow, run: bytes | None) -> None:
        raise PermissionError

    monkeypatch.setattr(clearance, "_kill_group", lambda group, look: False)
    monkeypatch.setattr(clearance, "_kill_one", refuse)
    with Child(DEAF) as child:
        assert not clear(census(), grace_s=0)
        assert child.poll() is None


def test_end_comes_even_if_somebody_does_not_die(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearance, "_kill", lambda *_: None)
    monkeypatch.setattr(clearance, "LIMIT_S", 0.2)
    with Child(DEAF):
        assert not clear(census(), grace_s=0)


# Cgroups: with the kernel's own where there is leave to make one, and with folders that look like them.


@pytest.fixture(params=CGROUP_ROOTS)
def folder(request: pytest.FixtureRequest) -> Iterator[str]:
    """A cgroup with one inside it."""
    top = f"{request.param}/keeper-test-{os.getpid()}"
    os.makedirs(f"{top}/inner")
    yield top
    cgroup.remove([os.fsencode(top)])


def put(child: Child, folder: str) -> None:
    Path(folder, "cgroup.procs").write_text(str(child.pid))


def test_unmarked_process_in_a_cgroup_is_killed_and_the_folder_removed(folder: str) -> None:
    with Child(DEAF, run=None) as top, Child(DEAF, run=None) as inner, Child(DEAF, run=None) as out:
        put(top, folder)
        put(inner, os.path.join(folder, "inner"))
        assert clear(census(folder), grace_s=0)
        assert (top.wait(), inner.wait()) == (-9, -9)
        assert out.poll() is None
        assert not os.path.exists(folder)


def test_empty_cgroup_is_removed_without_waiting(folder: str) -> None:
    assert clear(census(folder), grace_s=10)
    assert not os.path.exists(folder)


def test_cgroup_that_holds_oneself_is_never_touched(folder: str) -> None:
    code = f"""
import os, sys
sys.path.append({str(Path(clearance.__file__).parents[1])!r})
from keeper.census import Census
from keeper.clearance import clear
folder = {folder!r}
open(folder + "/cgroup.procs", "w").write(str(os.getpid()))
print("up", flush=True)
input()
print(clear(Census(b"none", [folder.encode()]), grace_s=0), flush=True)
"""
    with Child(code, run=None) as child, Child(DEAF, run=None) as companion:
        put(companion, folder)
        out, _ = child.communicate("\n")
        assert out == "False\n"  # the folder is still there
        assert child.returncode == 0
        assert companion.poll() is None


def test_folder_that_is_gone_is_nobodys() -> None:
    assert cgroup.members([b"/no/such/folder"]) == set()
    cgroup.kill([b"/no/such/folder"])
    assert cgroup.remove([b"/no/such/folder"])


def test_kill_writes_no_file_that_the_kernel_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("")
    cgroup.kill([os.fsencode(tmp_path)])
    assert os.listdir(tmp_path) == ["cgroup.procs"]


def test_members_are_those_of_the_folders_inside_too(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "cgroup.procs").write_text("7\n8\n")
    (tmp_path / "a" / "b" / "cgroup.procs").write_text("9\n")
    assert cgroup.members([os.fsencode(tmp_path)]) == {7, 8, 9}


def test_folder_that_cannot_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept").write_text("")
    monkeypatch.setattr(clearance, "_REMOVE_S", 0.05)
    assert not clear(census(str(tmp_path)), grace_s=0)
