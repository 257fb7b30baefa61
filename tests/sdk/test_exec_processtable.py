"""What is read of processes, from /proc and from ps."""

from __future__ import annotations

import os
import signal
import time

import pytest

from plugin_host_sdk.exec import processtable
from plugin_host_sdk.exec.family import Family
from plugin_host_sdk.exec.process import spawn_pipes
from plugin_host_sdk.exec.processtable import ProcessTable, read_row
from tests.sdk.ends import ENV, close_pipes, end_of, kill
from tests.sdk.kin import NAME, family_of, fresh_mark, start
from tests.wait import WaitUntil


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


def test_environment_that_cannot_be_read_yet_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    process = start("sleep", "60", mark=f"{NAME}=here")
    found = read_row(process.pid)
    assert found
    table = ProcessTable([found])
    with monkeypatch.context() as patch:
        # As of a process that is becoming another program at this moment.
        patch.setattr(processtable, "_environment", lambda pid: [b""])
        assert not table.carries(found, b"PLUGIN_HOST_SESSION=here")
    assert table.carries(found, b"PLUGIN_HOST_SESSION=here")
    assert not table.carries(found, b"PLUGIN_HOST_SESSION=her")
    kill(process.pid)
    close_pipes(process)
    ProcessTable.read()
    assert process.pid not in processtable._environments, "what is gone is forgotten"


def test_long_environment_is_read_to_its_end() -> None:
    padding = {f"PAD{number}": "x" * 60_000 for number in range(4)}
    process = spawn_pipes(["sleep", "60"], cwd=None, env=ENV | padding | {NAME: "here"})
    found = read_row(process.pid)
    assert found
    assert ProcessTable([found]).carries(found, b"PLUGIN_HOST_SESSION=here")
    kill(process.pid)
    close_pipes(process)
