"""Looking at all processes: the same answers from /proc and from psutil, and few looks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from plugin_host import processtable
from plugin_host.processtable import ProcessRow, ProcessTable, read_row, read_use
from tests.wait import WaitUntil


@pytest.fixture(params=["proc", "psutil"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "psutil":
        monkeypatch.setattr(processtable, "_HAS_PROC", False)
    return str(request.param)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table waits as long as a busy machine may take for what is a millisecond elsewhere."""
    monkeypatch.setattr(processtable, "_PATIENCE_S", 10.0)


@contextmanager
def sleeper(name: str = "sleep", **environment: str) -> Iterator[int]:
    command = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, start_new_session=True, env={**os.environ, **environment}
    ) as child:
        yield child.pid
        child.communicate()


def row(pid: int) -> ProcessRow:
    found = read_row(pid)
    assert found is not None
    return found


@pytest.mark.usefixtures("source")
def test_row_says_who_it_is_and_where_it_belongs() -> None:
    with sleeper() as pid:
        found = row(pid)
        assert (found.pid, found.parent, found.group, found.session) == (pid, os.getpid(), pid, pid)
        assert found.name.startswith("python")
        assert not found.dead
        assert found.started >= row(os.getpid()).started
        assert row(pid) == found
        assert ProcessTable.read().rows[pid] == found


def test_table_is_empty_where_proc_is_not_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processtable, "_HAS_PROC", False)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    assert ProcessTable.read().rows == {}


@pytest.mark.usefixtures("source")
def test_ended_child_is_dead_until_it_is_reaped_and_then_nobody(wait_until: WaitUntil) -> None:
    with sleeper() as pid:
        os.kill(pid, 9)
        wait_until(lambda: row(pid).dead)
        assert ProcessTable.read().rows[pid].dead
    assert read_row(pid) is None
    assert pid not in ProcessTable.read().rows


@pytest.mark.usefixtures("source")
def test_variable_is_that_of_the_start_and_no_beginning_of_another() -> None:
    with sleeper(A_MARK="one two", XA_MARK="wrong", A_MARKS="wrong", EMPTY="") as pid:
        table = ProcessTable.read()
        assert table.variable(pid, "A_MARK") == "one two"
        assert table.variable(pid, "EMPTY") == ""
        assert table.variable(pid, "MARK") is None
        assert table.variable(2**22 + 1, "A_MARK") is None


@pytest.mark.usefixtures("source", "patient")
def test_long_environment_is_read_whole(wait_until: WaitUntil) -> None:
    with sleeper(**{f"FILL_{n}": "x" * 100_000 for n in range(3)}, ZZ_LAST="end") as pid:
        # psutil waits for nothing: there it is empty for a moment after the start.
        wait_until(lambda: ProcessTable.read().variable(pid, "ZZ_LAST") == "end")


@pytest.mark.usefixtures("patient")
def test_process_that_becomes_another_program_again_and_again_always_has_its_variables(
    tmp_path: Path,
) -> None:
    script = tmp_path / "again.sh"
    script.write_text('exec /bin/sh "$0"\n')
    environment = {"A_MARK": "one two", "PAD": "x" * 60_000}
    with subprocess.Popen(["/bin/sh", script], env=environment) as child:
        rows = {child.pid: row(child.pid)}
        found = [ProcessTable(rows, 0.0).variable(child.pid, "A_MARK") for _ in range(1000)]
        child.kill()
    assert set(found) == {"one two"}


def test_table_waits_for_all_environments_together_no_longer_than_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    class Clock:
        """It goes on by the pauses alone."""

        sleep = pauses.append

        @staticmethod
        def monotonic() -> float:
            return sum(pauses)

    monkeypatch.setattr(processtable, "_read_file", lambda path: b"")
    monkeypatch.setattr(processtable, "_has_program", lambda pid: True)
    monkeypatch.setattr(processtable, "_becomes_another", lambda pid: True)
    monkeypatch.setattr(processtable, "time", Clock)
    table = ProcessTable({}, 0.0)
    assert {table.variable(pid, "A_MARK") for pid in range(1000, 1050)} == {None}
    assert 0 < sum(pauses) < processtable._PATIENCE_S + 2 * processtable._PAUSE_S
    assert processtable._PATIENCE_S <= 0.005, "the host's loop stands still meanwhile"


@pytest.mark.usefixtures("patient")
def test_process_without_any_environment_is_not_waited_for(
    wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProcessTable, "_wait", lambda table: pytest.fail("waited"))
    with subprocess.Popen(["sleep", "60"], env={}) as child:
        wait_until(lambda: not processtable._becomes_another(child.pid))
        assert ProcessTable.read().variable(child.pid, "A_MARK") is None
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert ProcessTable.read().variable(child.pid, "A_MARK") is None
        assert ProcessTable.read().variable(2**22 + 1, "A_MARK") is None


def test_look_is_shared_only_with_those_whom_it_serves() -> None:
    first = ProcessTable.read()
    assert ProcessTable.read(not_before=first.began) is first
    assert ProcessTable.read(not_before=first.began - 1) is first
    second = ProcessTable.read(not_before=time.monotonic())
    assert second is not first
    assert second.began > first.began
    assert ProcessTable.read() is not second


def test_name_with_brackets_and_blanks_is_read(tmp_path: Path) -> None:
    # The name stands in brackets between numbers, and every part of it was chosen by somebody else.
    program = tmp_path / ") R 1 (x"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as child:
        found = row(child.pid)
        assert (found.name, found.parent) == (") R 1 (x", os.getpid())
        child.kill()


def test_process_whose_first_thread_has_ended_still_lives(wait_until: WaitUntil) -> None:
    code = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).pthread_exit(None)
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        stat = Path(f"/proc/{child.pid}/stat")
        wait_until(lambda: ") Z " in stat.read_text())
        assert not row(child.pid).dead
        child.kill()


@pytest.mark.usefixtures("source")
def test_use_is_memory_and_threads(wait_until: WaitUntil) -> None:
    with sleeper() as pid:
        found = wait_until(lambda: (use := read_use(pid)) and use.resident > 1_000_000 and use)
        assert found
        assert found.threads == 1
        assert found.resident < 100_000_000
    assert read_use(pid) is None


# Who carries a word.


def rows_of(*started: float) -> list[ProcessRow]:
    """Processes 10, 11, … that began then."""
    return [ProcessRow(10 + n, 1, 10 + n, 10 + n, at, f"p{n}", dead=False) for n, at in enumerate(started)]


def test_carriers_of_many_words_are_found_by_reading_each_environment_once() -> None:
    read: list[int] = []

    def words(pid: int) -> str:
        read.append(pid)
        return f"all w{pid} w{pid}"

    carriers = processtable.Carriers(rows_of(1, 2, 3), words)
    assert [one.pid for one in carriers.of("w11", since=2)] == [11]
    assert read == [12, 11]  # the newest first, and none that is older than asked for
    assert [one.pid for one in carriers.of("all", since=0)] == [12, 11, 10]
    assert [one.pid for one in carriers.of("all", since=3)] == [12]
    assert carriers.of("w1", since=0) == []
    assert read == [12, 11, 10]


def test_the_dead_those_without_the_variable_and_this_process_carry_nothing() -> None:
    dead, without, own = rows_of(1, 2, 3)
    carriers = processtable.Carriers(
        [dead._replace(dead=True), without, own._replace(pid=os.getpid())],
        lambda pid: None if pid == without.pid else "word",
    )
    assert carriers.of("word", since=0) == []
