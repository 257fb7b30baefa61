"""What belongs to a session's program: found whatever it did to leave, and nobody else."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from plugin_host_sdk.exec import family as family_module
from plugin_host_sdk.exec.family import Family
from plugin_host_sdk.exec.processtable import ProcessRow, ProcessTable, read_row
from plugin_host_sdk.exec.terminal import RealTerminalFactory
from tests.sdk.ends import ENV, close_pipes, end_of, kill, read_until
from tests.sdk.kin import NAME, family_of, fresh_mark, start
from tests.wait import WaitUntil

HOUSE = f"""
say() {{ echo "$1 $!"; }}
sleep 60 & say kin
setsid sleep 60 & say terminal
sh -c 'sleep 60 & echo orphan $!'
sh -c 'setsid sleep 60 & echo daemon $!'
sh -c 'env -u {NAME} sleep 60 & echo plain $!'
sh -c "setsid sh -c 'env -u {NAME} sleep 60 & echo guest \\$!; exec sleep 60' &"
echo leader $$
wait
read end
"""
"""A child, one in a session of its own, an orphan in the session, a daemon, an orphan without the mark,
and one that only shares the session of a daemon."""

NAMES = {"kin", "terminal", "orphan", "daemon", "plain", "guest", "leader"}


class House:
    """A program with all kinds of kin, as pids by what they are."""

    def __init__(self) -> None:
        self.mark = fresh_mark()
        self.process = start("sh", "-c", HOUSE, mark=self.mark)
        said = b""
        while said.count(b"\n") < len(NAMES):
            said += read_until(self.process.stdout_fd, b"\n")
        self.pids = {name: int(pid) for name, pid in (line.split() for line in said.decode().splitlines())}
        assert self.pids.keys() == NAMES
        assert self.pids["leader"] == self.process.pid


@contextmanager
def house() -> Iterator[House]:
    """Takes care that nothing stays behind."""
    this = House()
    try:
        yield this
    finally:
        for pid in this.pids.values():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        close_pipes(this.process)
        end_of(this.process.pid)


def pids_of(processes: set[tuple[int, float]]) -> set[int]:
    return {pid for pid, _ in processes}


def settled(wait_until: WaitUntil, family: Family, expected: set[int]) -> None:
    """Orphans are found once their parents have died, which takes a moment."""
    wait_until(lambda: expected <= pids_of(family.look()))


def test_kin_are_found_whatever_they_did_to_leave(wait_until: WaitUntil) -> None:
    with house() as home, house() as other:
        family = Family(home.process.pid, home.mark)
        settled(wait_until, family, set(home.pids.values()))
        found = pids_of(family.look())
        assert not found & set(other.pids.values())
        assert not found & {0, 1, os.getpid(), os.getppid()}
        # The two shells that wait for the guest are kin as well.
        assert len(found - set(home.pids.values())) <= 2


def test_every_one_of_them_is_signalled_and_nobody_else(wait_until: WaitUntil) -> None:
    with house() as home, house() as other:
        family = Family(home.process.pid, home.mark)
        settled(wait_until, family, set(home.pids.values()))
        assert set(home.pids.values()) <= pids_of(family.alive())
        assert set(home.pids.values()) <= pids_of(family.signal_all(signal.SIGKILL))
        wait_until(lambda: not family.alive())
        assert all(_lives(pid) for pid in other.pids.values())


def _lives(pid: int) -> bool:
    row = read_row(pid)
    return row is not None and not row.is_dead


def test_kin_are_remembered_when_those_between_have_died(wait_until: WaitUntil) -> None:
    with house() as home:
        family = Family(home.process.pid, fresh_mark())
        settled(wait_until, family, {home.pids[name] for name in ("kin", "terminal", "orphan", "plain")})
        os.kill(home.process.pid, signal.SIGKILL)
        wait_until(lambda: home.process.pid not in pids_of(family.look()))
        found = pids_of(family.look())
        assert {home.pids[name] for name in ("kin", "terminal", "orphan", "plain")} <= found
        assert home.pids["daemon"] not in found, "its mark is another's"


def test_leader_that_was_reaped_leaves_only_what_is_proved(wait_until: WaitUntil) -> None:
    script = f"sleep 60 & echo $!; env -u {NAME} sleep 60 & echo $!; echo end"
    families, survivors = [], []
    for looks_first in (True, False):
        mark = fresh_mark()
        process = start("sh", "-c", script, mark=mark)
        marked, bare = (int(pid) for pid in read_until(process.stdout_fd, b"end\n").split()[:2])
        family = Family(process.pid, mark)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        if looks_first:
            assert pids_of(family.look()) == {marked, bare}
        end_of(process.pid)
        close_pipes(process)
        families.append((family, marked, bare))
        survivors += [marked, bare]
    try:
        # Seen once: its number stays with the session as long as one of them lives.
        family, marked, bare = families[0]
        assert pids_of(family.look()) == {marked, bare}
        # Never seen: the marked one is ours, and in a session that it proves to be ours.
        family, marked, bare = families[1]
        assert pids_of(family.look()) == {marked, bare}
    finally:
        for pid in survivors:
            os.kill(pid, signal.SIGKILL)


def test_program_that_is_reaped_already_has_no_family_but_the_marked() -> None:
    process = start("true")
    end_of(process.pid)
    close_pipes(process)
    family = Family(process.pid, fresh_mark())
    assert (family.alive(), family.look(), family.signal_all(signal.SIGKILL)) == (set(), set(), set())


def test_process_that_is_no_child_of_ours_is_no_leader() -> None:
    for pid in (1, os.getppid(), os.getpid()):
        family = Family(pid, fresh_mark())
        assert family.alive() == set()
        assert family.look() == set()


@pytest.fixture(params=["pidfd", "no pidfd", "forbidden"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How signals are sent: here, on an old system, in a sandbox."""
    if request.param == "no pidfd":
        monkeypatch.delattr(os, "pidfd_open")
    elif request.param == "forbidden":

        def refuse(pid: int, flags: int = 0) -> int:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "pidfd_open", refuse)
    return str(request.param)


def test_signal_reaches_the_program(way: str) -> None:
    process, family = family_of("sleep", "60")
    assert pids_of(family.signal_all(signal.SIGTERM)) == {process.pid}
    assert end_of(process.pid).signal == "SIGTERM"
    assert family.signal_all(signal.SIGTERM) == set()
    close_pipes(process)


def test_number_that_passed_to_another_process_is_never_signalled(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, family = family_of("sleep", "60")
    family.look()

    def reused(pid: int) -> ProcessRow | None:
        row = read_row(pid)
        return row and row._replace(started=row.started + 1)

    with monkeypatch.context() as patch:
        patch.setattr(family_module, "read_row", reused)
        assert family.alive() == set()
        assert family.signal_all(signal.SIGTERM) == set()
    assert pids_of(family.alive()) == {process.pid}
    kill(process.pid)
    close_pipes(process)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_stopped_program_gets_what_ends_it(way: str, wait_until: WaitUntil, signum: int) -> None:
    process, family = family_of("sh", "-c", "sleep 60 & kill -STOP $! $$")

    def all_stopped() -> bool:
        rows = [read_row(pid) for pid in pids_of(family.look())]
        return len(rows) == 2 and all(row and row.is_stopped for row in rows)

    wait_until(all_stopped)
    assert len(family.signal_all(signum)) == 2
    assert end_of(process.pid).signal == signal.Signals(signum).name
    wait_until(lambda: not family.alive())
    close_pipes(process)


def test_other_signals_leave_it_stopped(wait_until: WaitUntil) -> None:
    process, family = family_of("sh", "-c", "kill -STOP $$")
    wait_until(lambda: (row := read_row(process.pid)) and row.is_stopped)
    family.signal_all(signal.SIGUSR1)
    row = read_row(process.pid)
    assert row
    assert row.is_stopped
    kill(process.pid)
    close_pipes(process)


def test_kill_reaches_children_that_are_born_meanwhile(wait_until: WaitUntil) -> None:
    process, family = family_of("sh", "-c", "while :; do sleep 60 & setsid sleep 60 & sleep 0.001; done")
    wait_until(lambda: len(family.look()) > 5)
    family.signal_all(signal.SIGKILL)
    end_of(process.pid)
    wait_until(lambda: not family.look())
    close_pipes(process)


def test_kill_needs_no_look_before_it(wait_until: WaitUntil) -> None:
    process, family = family_of("sh", "-c", "sleep 60 & setsid sleep 60 & echo up; wait")
    read_until(process.stdout_fd, b"up")
    assert len(family.signal_all(signal.SIGKILL)) == 3
    end_of(process.pid)
    wait_until(lambda: not family.look())
    close_pipes(process)


def test_terminals_jobs_are_kin_whatever_their_groups(wait_until: WaitUntil) -> None:
    terminal = RealTerminalFactory().spawn(
        ["bash", "--norc", "-c", "set -m; sleep 60 & sleep 60 | cat & echo up; wait"],
        cwd=None,
        env=ENV,
        rows=27,
        cols=72,
    )
    assert terminal.pid is not None
    read_until(terminal.master_fd, b"up")
    family = Family(terminal.pid, fresh_mark())
    wait_until(lambda: len(family.look()) == 4)
    family.signal_all(signal.SIGHUP)
    assert end_of(terminal.pid).signal == "SIGHUP"
    wait_until(lambda: not family.look())
    terminal.close()


def test_mark_is_not_believed_of_what_is_older_or_in_part(wait_until: WaitUntil) -> None:
    mark = fresh_mark()
    older = start("sleep", "60", mark=mark)
    wait_until(lambda: ticks() > (read_row(older.pid) or EMPTY).started)
    longer = start("sleep", "60", mark=mark + "0")
    other = start("env", f"X={mark}", "sleep", "60")
    process = start("sleep", "60", mark=mark)
    assert pids_of(Family(process.pid, mark).look()) == {process.pid}
    for each in (older, longer, other, process):
        kill(each.pid)
        close_pipes(each)


EMPTY = ProcessRow(0, 0, 0, 0, False, False)


def ticks() -> float:
    """The start time that a process of now would have."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK") - 1


# Forged tables.


def row(pid: int, parent: int, session: int, started: float = 10**15, *, dead: bool = False) -> ProcessRow:
    return ProcessRow(pid, parent, session, started, dead, False)


@pytest.fixture
def leader() -> Iterator[ProcessRow]:
    process = start("sleep", "60")
    found = read_row(process.pid)
    assert found
    yield found
    kill(process.pid)
    close_pipes(process)


HIGH = 10**7
"""Numbers that no process has, so nobody's environment is read for a forged row."""


def found_in(leader: ProcessRow, *rows: ProcessRow) -> set[int]:
    family = Family(leader.pid, fresh_mark())
    return pids_of(family.look(ProcessTable(rows)))


def test_number_of_the_leader_in_other_hands_proves_nothing(leader: ProcessRow) -> None:
    another = leader._replace(started=leader.started + 1)
    assert found_in(leader, another, row(HIGH, leader.pid, leader.pid)) == set()
    assert found_in(leader, row(HIGH, 1, leader.pid)) == set(), "its session may be a later one's"
    dead = leader._replace(is_dead=True)
    assert found_in(leader, dead, row(HIGH, 1, leader.pid)) == {HIGH}


def test_child_older_than_its_parent_is_none(leader: ProcessRow) -> None:
    elder = row(HIGH, leader.pid, 7, leader.started - 1)
    younger = row(HIGH + 1, leader.pid, 7, leader.started)
    assert found_in(leader, leader, elder, younger) == {leader.pid, HIGH + 1}


def test_plugin_and_init_are_never_kin(leader: ProcessRow) -> None:
    rows = [row(os.getpid(), leader.pid, leader.pid), row(1, leader.pid, leader.pid)]
    children = [row(HIGH, os.getpid(), 7), row(HIGH + 1, 1, 8)]
    assert found_in(leader, leader, *rows, *children) == {leader.pid}


def test_session_counts_while_one_proved_member_is_left(leader: ProcessRow) -> None:
    family = Family(leader.pid, fresh_mark())
    members = [row(HIGH + number, 1, leader.pid) for number in range(3)]
    assert pids_of(family.look(ProcessTable([leader, members[0]]))) == {leader.pid, HIGH}
    assert pids_of(family.look(ProcessTable(members[:2]))) == {HIGH, HIGH + 1}
    assert pids_of(family.look(ProcessTable(members[1:]))) == {HIGH + 1, HIGH + 2}
    assert family.look(ProcessTable([])) == set()
    assert family.look(ProcessTable(members)) == set(), "a later session of that number"


def test_session_of_a_child_that_led_one_counts_with_all_its_members(leader: ProcessRow) -> None:
    child = row(HIGH, leader.pid, HIGH)
    guest = row(HIGH + 1, 1, HIGH)
    its_child = row(HIGH + 2, HIGH + 1, HIGH + 2)
    assert found_in(leader, leader, child, guest, its_child) == {leader.pid, HIGH, HIGH + 1, HIGH + 2}


@pytest.mark.bare
@pytest.mark.deadline(60)
def test_look_among_two_hundred_processes_takes_milliseconds() -> None:
    processes = [start("sleep", "60") for _ in range(200)]
    family = Family(processes[0].pid, fresh_mark())
    times = []
    for _ in range(15):
        began = time.thread_time()
        family.look()
        times.append(time.thread_time() - began)
    for process in processes:
        kill(process.pid)
        close_pipes(process)
    assert statistics.median(times) < 0.02
