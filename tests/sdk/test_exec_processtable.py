"""What is read of processes, from /proc and from ps."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from plugin_host_sdk.exec import processtable
from plugin_host_sdk.exec.family import Family
from plugin_host_sdk.exec.process import spawn_pipes
from plugin_host_sdk.exec.processtable import ProcessRow, ProcessTable, read_row
from tests.sdk.ends import ENV, close_pipes, end_of, kill
from tests.sdk.kin import NAME, family_of, fresh_mark, start
from tests.wait import WaitUntil

HERE = f"{NAME}=here".encode()


class Clock:
    """Stands in for `time`: it goes on by the pauses alone, which are noted."""

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME
    clock_gettime = staticmethod(time.clock_gettime)

    def __init__(self, pauses: list[float]) -> None:
        self.sleep = pauses.append
        self.monotonic = lambda: sum(pauses)


def test_row_tells_what_the_system_knows(wait_until: WaitUntil) -> None:
    process = start("bash", "-c", "exec -a ') S 1 (x' sleep 60")
    found = read_row(process.pid)
    assert found
    assert (found.parent, found.session) == (os.getpid(), process.pid)
    assert not found.is_dead
    assert not found.is_stopped
    kill(process.pid)
    assert read_row(process.pid) is None
    close_pipes(process)


def test_name_of_a_process_may_hold_anything() -> None:
    with open("/proc/self/comm", "r+b", buffering=0) as comm:
        own = comm.read()
        comm.write(b") Z 1 (\n")
        try:
            found = read_row(os.getpid())
        finally:
            comm.write(own)
    assert found
    assert found.parent == os.getppid()
    assert not found.is_dead


def test_ended_process_is_dead_until_it_is_reaped(wait_until: WaitUntil) -> None:
    process = start("true")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    found = read_row(process.pid)
    assert found
    assert found.is_dead
    assert Family(process.pid, fresh_mark()).alive() == set()
    end_of(process.pid)
    close_pipes(process)


def test_other_systems_are_read_by_ps(wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processtable, "_HAS_PROC", False)
    process, family = family_of("sh", "-c", "sleep 60 & setsid sleep 60 & kill -STOP $$; wait")
    wait_until(lambda: len(family.look()) == 3 and (row := read_row(process.pid)) and row.is_stopped)
    found = ProcessTable.read().rows[process.pid]
    assert (found.parent, found.session) == (os.getpid(), process.pid)
    assert found == read_row(process.pid)
    assert abs(found.started - time.time()) < 60
    assert len(family.signal_all(signal.SIGTERM)) == 3
    assert end_of(process.pid).signal == "SIGTERM"
    wait_until(lambda: not family.alive())
    assert read_row(process.pid) is None
    close_pipes(process)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table waits as long as a busy machine may take for what is a millisecond elsewhere."""
    monkeypatch.setattr(processtable, "_PATIENCE_S", 10.0)


def row_of(pid: int) -> ProcessRow:
    found = read_row(pid)
    assert found
    return found


def carries(row: ProcessRow, entry: bytes) -> bool:
    """Whether a table of this row alone says that the process was given `entry`."""
    return ProcessTable([row]).carriers(entry, 0) == [row]


def test_carriers_are_the_living_that_are_not_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {pid: [b"A=1", HERE if pid % 2 else b"X=2"] for pid in range(1, 8)}
    monkeypatch.setattr(processtable, "_environment", lambda pid, wait: given[pid])
    rows = [ProcessRow(pid, 0, pid, 10.0 * pid, pid == 5, False) for pid in given]
    table = ProcessTable(rows)
    assert [row.pid for row in table.carriers(HERE, 30)] == [3, 7]
    given[7] = []
    assert [row.pid for row in table.carriers(HERE, 40)] == [7], "it is read once"
    assert [row.pid for row in table.carriers(HERE, 0)] == [1, 3, 7], "older ones when they are asked for"
    assert table.carriers(b"A=2", 0) == []


def test_environment_that_cannot_be_read_yet_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    process = start("sleep", "60", mark=f"{NAME}=here")
    found = row_of(process.pid)
    monkeypatch.setattr(processtable, "_SETTLED_S", -1.0)
    with monkeypatch.context() as patch:
        # As of a process that is becoming another program at this moment.
        patch.setattr(processtable, "_environment", lambda pid, wait: [b""])
        assert not carries(found, HERE)
    assert carries(found, HERE)
    assert not carries(found, HERE[:-1])
    kill(process.pid)
    close_pipes(process)
    assert process.pid in processtable._environments
    ProcessTable.read()
    assert process.pid not in processtable._environments, "what is gone is forgotten"


@pytest.mark.usefixtures("patient")
def test_process_that_becomes_another_program_again_and_again_is_always_recognised(tmp_path: Path) -> None:
    script = tmp_path / "again.sh"
    script.write_text('exec /bin/sh "$0"\n')
    env = ENV | {NAME: "here", "PAD": "x" * 60_000}
    process = spawn_pipes(["/bin/sh", str(script)], cwd=None, env=env)
    found = row_of(process.pid)
    try:
        missed = sum(not carries(found, HERE) for _ in range(1000))
    finally:
        kill(process.pid)
        close_pipes(process)
    assert not missed


def test_table_waits_for_all_environments_together_no_longer_than_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    rows = [ProcessRow(pid, 1, pid, 0, False, False) for pid in range(1000, 1050)]
    table = ProcessTable(rows)
    monkeypatch.setattr(processtable, "_read_file", lambda path: b"")
    monkeypatch.setattr(processtable, "_has_program", lambda pid: True)
    monkeypatch.setattr(processtable, "_becomes_another", lambda pid: True)
    monkeypatch.setattr(processtable, "time", Clock(pauses))
    assert table.carriers(HERE, 0) == []
    assert 0 < sum(pauses) < processtable._PATIENCE_S + 2 * processtable._PAUSE_S


def test_what_a_new_process_does_not_carry_is_looked_for_again(
    wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processtable, "_SETTLED_S", 60.0)
    # It shows another environment before it becomes its program, as any process does for a moment.
    process = start("sh", "-c", f"read line; exec env {NAME}=here sleep 60", mark=f"{NAME}=there")
    found = row_of(process.pid)
    wait_until(lambda: carries(found, f"{NAME}=there".encode()))
    assert not carries(found, HERE)
    os.write(process.stdin_fd, b"\n")
    wait_until(lambda: carries(found, HERE))
    kill(process.pid)
    close_pipes(process)


def test_environment_of_a_settled_process_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = row_of(os.getppid())
    carries(found, HERE)
    monkeypatch.setattr(processtable, "_environment", lambda pid, wait: pytest.fail("read again"))
    assert not carries(found, HERE)


@pytest.mark.usefixtures("patient")
def test_process_without_any_environment_is_not_waited_for(
    wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = spawn_pipes(["sleep", "60"], cwd=None, env={})
    found, pauses = row_of(process.pid), list[float]()
    wait_until(lambda: not processtable._becomes_another(process.pid))
    monkeypatch.setattr(processtable, "time", Clock(pauses))
    assert not carries(found, HERE)
    assert not pauses
    kill(process.pid)
    close_pipes(process)


def test_process_that_has_ended_is_not_waited_for() -> None:
    process = start("true")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not processtable._has_program(process.pid)
    end_of(process.pid)
    close_pipes(process)
    assert not processtable._has_program(2**22 + 1)
    assert processtable._has_program(os.getpid())


@pytest.mark.usefixtures("patient")
def test_long_environment_is_read_to_its_end() -> None:
    padding = {f"PAD{number}": "x" * 60_000 for number in range(4)}
    process = spawn_pipes(["sleep", "60"], cwd=None, env=ENV | padding | {NAME: "here"})
    found = row_of(process.pid)
    assert carries(found, HERE)
    kill(process.pid)
    close_pipes(process)
