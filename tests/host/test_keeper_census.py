"""Who belongs to a run: by mark, by session, by descent, and nobody by number alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugin_host.keeper.census import Census, Look, relatives
from plugin_host.keeper.procfs import ProcessRow, read_environ, read_row
from tests.wait import WaitUntil

RUN = f"census-{os.getpid()}"
APART = frozenset({0, 1, 900})


def row(pid: int, parent: int, session: int, started: int = 50, *, dead: bool = False) -> ProcessRow:
    return ProcessRow(pid, parent, session, session, started, dead)


def related(rows: list[ProcessRow], roots: list[int], sessions: set[int] | None = None) -> set[int]:
    table = {one.pid: one for one in rows}
    return set(relatives(table, [table[pid] for pid in roots], sessions or set(), APART))


def test_descendants_belong_in_whatever_session() -> None:
    rows = [row(10, 1, 10), row(11, 10, 10), row(12, 11, 12), row(13, 12, 13), row(20, 1, 20)]
    assert related(rows, [10]) == {10, 11, 12, 13}


def test_session_of_one_that_belongs_belongs() -> None:
    rows = [row(31, 1, 30), row(32, 1, 30), row(33, 32, 33)]
    assert related(rows, [31]) == {31, 32, 33}


def test_session_known_from_before_belongs_without_its_leader() -> None:
    assert related([row(41, 1, 40), row(51, 1, 50)], [], {40}) == {41}


def test_session_of_the_host_is_not_taken_for_a_plugins() -> None:
    rows = [row(10, 1, 900), row(11, 10, 900), row(12, 1, 900)]
    assert related(rows, [10], {900}) == {10, 11}


def test_child_older_than_its_parent_is_somebody_elses() -> None:
    assert related([row(10, 1, 10, started=60), row(11, 10, 11, started=50)], [10]) == {10}


def test_neither_init_nor_oneself_ever_belongs() -> None:
    rows = [row(10, 1, 10), row(os.getpid(), 10, 10), row(1, 0, 1)]
    assert related(rows, [10, 1]) == {10}


def test_group_that_somebody_else_is_in_is_not_named() -> None:
    ours = {10: ProcessRow(10, 1, 10, 10, 5, False), 11: ProcessRow(11, 10, 11, 10, 5, True)}
    look = Look(ours, {11, 12})
    assert look.groups == {10}
    assert [one.pid for one in look.living] == [10]


@contextmanager
def marked_child(code: str, run: str = RUN) -> Iterator[subprocess.Popen[str]]:
    """Runs `code`, whose first line of output shows that it is there, in a session of its own."""
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", code],
        env=os.environ | {"PLUGIN_HOST_RUN": f"{run}/demo/1"},
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with child:
        try:
            yield child
        finally:
            child.kill()


def first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


WAIT = "print('up', flush=True); input()"


def test_marked_process_is_found_and_another_runs_is_not() -> None:
    with marked_child(WAIT) as ours, marked_child(WAIT, "census-of-another") as theirs:
        first_line(ours), first_line(theirs)
        census = Census(RUN.encode(), [])
        assert [one.pid for one in census.look().living] == [ours.pid]
        assert census.marked == {ours.pid}
        assert [one.pid for one in census.look().living] == [ours.pid]
        assert not census.marked  # known for good


def test_process_that_loses_its_mark_by_an_exec_is_known_from_before(wait_until: WaitUntil) -> None:
    code = "import os; print('up', flush=True); input(); os.execve('/bin/cat', ['cat'], {})"
    with marked_child(code) as child:
        first_line(child)
        census = Census(RUN.encode(), [])
        assert set(census.look().ours) == {child.pid}
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
        wait_until(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "cat\n")
        assert set(census.look().ours) == {child.pid}
        assert not Census(RUN.encode(), []).look().ours


def test_what_started_before_the_host_is_not_read() -> None:
    with marked_child(WAIT) as child:
        first_line(child)
        assert not Census(RUN.encode(), [], since=2**62).look().ours


def test_dead_one_that_nobody_reaped_is_not_among_the_living(wait_until: WaitUntil) -> None:
    with marked_child(WAIT) as child:
        first_line(child)
        census = Census(RUN.encode(), [])
        assert census.look().living
        os.kill(child.pid, 9)
        wait_until(lambda: not census.look().living)
        assert set(census.look().ours) == {child.pid}


def test_unmarked_child_of_a_plugin_that_is_gone_is_found_by_the_session_that_was_told(
    wait_until: WaitUntil,
) -> None:
    code = "import subprocess\nprint(subprocess.Popen(['sleep', '60'], env={}).pid, flush=True); input()"
    with marked_child(code) as plugin:
        child = int(first_line(plugin))
        leader = read_row(plugin.pid)
        assert leader is not None
        wait_until(lambda: b"PLUGIN_HOST_RUN" not in read_environ(child))
        plugin.kill()
        plugin.wait()
        try:
            assert not Census(RUN.encode(), []).look().ours
            census = Census(RUN.encode(), [], {plugin.pid: leader.started})
            assert set(census.look().ours) == {child}
            assert set(census.look().ours) == {child}
        finally:
            os.kill(child, 9)
        wait_until(lambda: not census.look().living)


def test_session_that_was_told_is_not_anothers_of_that_number() -> None:
    with marked_child(WAIT, "census-of-another") as stranger:
        first_line(stranger)
        leader = read_row(stranger.pid)
        assert leader is not None
        assert set(Census(RUN.encode(), [], {stranger.pid: leader.started}).look().ours) == {stranger.pid}
        assert not Census(RUN.encode(), [], {stranger.pid: leader.started - 1}).look().ours


@pytest.mark.parametrize("leaves", ["pass", "os.setsid()"])
def test_unmarked_daemon_is_known_once_it_was_seen(wait_until: WaitUntil, leaves: str) -> None:
    """Its parent dies after the first look; its session or its start time tells."""
    code = f"""
import os
if os.fork() == 0:
    {leaves}
    os.execve('/bin/sh', ['sh', '-c', 'echo $$; exec sleep 60'], {{'PATH': os.environ['PATH']}})
input()
"""
    with marked_child(code) as child:
        daemon = int(first_line(child))
        try:
            census = Census(RUN.encode(), [])
            assert set(census.look().ours) == {child.pid, daemon}
            child.kill()
            child.wait()
            assert daemon in census.look().ours
            assert not Census(RUN.encode(), []).look().ours
        finally:
            os.kill(daemon, 9)
        wait_until(lambda: not census.look().living)
