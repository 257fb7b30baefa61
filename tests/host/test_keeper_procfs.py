"""What the keeper reads in /proc: marks in environments, and who a process is."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.environment import RUN_MARK_NAME, build_environment, run_token
from plugin_host.keeper.procfs import is_marked, parse_stat, process_ids, read_environ, read_row
from plugin_host.processtable import read_row as host_reads_row
from tests.wait import WaitUntil

MARK = RUN_MARK_NAME.encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"ab12/demo/1", True),
        (b"outer/a/1 ab12/demo/1", True),
        (b"ab12/demo/1 inner/b/7", True),
        (b"ab123/demo/1", False),
        (b"xab12/demo/1", False),
        (b"other/ab12/1", False),
        (b"ab12", False),
        (b"", False),
    ],
)
def test_mark_is_a_token_that_begins_with_the_run(value: bytes, expected: bool) -> None:
    environ = b"HOME=/root\0" + MARK + b"=" + value + b"\0PATH=/bin\0"
    assert is_marked(environ, b"ab12") is expected


def test_run_in_another_variable_is_no_mark() -> None:
    assert not is_marked(b"X" + MARK + b"=ab12/demo/1\0NOTE=" + MARK + b"=ab12/demo/1\0", b"ab12")


def test_second_variable_of_the_name_counts() -> None:
    assert is_marked(MARK + b"=old/a/1\0" + MARK + b"=ab12/demo/1\0", b"ab12")


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read(environ: bytes) -> None:
    assert not is_marked(environ, b"a run that is in none of them")


def test_mark_the_host_makes_is_the_one_that_is_looked_for() -> None:
    outer = build_environment({}, token=run_token("outer", "a", 1))
    environ = build_environment(outer, token=run_token("ab12", "demo", 3))
    data = b"\0".join(f"{name}={value}".encode() for name, value in environ.items()) + b"\0"
    assert is_marked(data, b"ab12")
    assert is_marked(data, b"outer")
    assert not is_marked(data, b"demo")


@pytest.mark.parametrize("name", [b"sh", b"a b", b"odd) S 1 (", b"\xff\n)"])
def test_name_of_any_kind_does_not_shift_the_fields(name: bytes) -> None:
    fields = b" ".join(b"%d" % n for n in range(4, 53))
    row = parse_stat(7, b"7 (" + name + b") S " + fields + b"\n")
    assert (row.pid, row.parent, row.group, row.session, row.started) == (7, 4, 5, 6, 22)
    assert not row.dead


@pytest.mark.parametrize(("state", "threads", "dead"), [("Z", 1, True), ("Z", 3, False), ("T", 1, False)])
def test_zombie_is_dead_unless_threads_of_it_live(state: str, threads: int, dead: bool) -> None:
    fields = [str(n) for n in range(4, 53)]
    fields[16] = str(threads)
    assert parse_stat(7, f"7 (sh) {state} {' '.join(fields)}".encode()).dead is dead


def test_real_process_is_the_one_that_the_host_sees(wait_until: WaitUntil) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={"A": "b"}
    ) as child:
        wait_until(lambda: read_environ(child.pid) == b"A=b\0")
        assert child.pid in process_ids()
        row, expected = read_row(child.pid), host_reads_row(child.pid)
        assert row is not None
        assert expected is not None
        assert (row.parent, row.group, row.session, row.started) == expected[1:5]
        child.kill()
    assert read_row(child.pid) is None
    assert read_environ(child.pid) == b""


def test_long_environment_is_read_to_its_end(wait_until: WaitUntil) -> None:
    env = {"A": "b", "LONG": "x" * 100_000, "LAST": "end"}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=env) as child:
        wait_until(lambda: read_environ(child.pid))
        try:
            assert b"LAST=end" in read_environ(child.pid).split(b"\0")
        finally:
            child.kill()
