"""Terminals of the system: what programs see of them, who owns their descriptors, how they end."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.exec.process import PipeProcess, reap, spawn_pipes
from plugin_host_sdk.exec.terminal import RealTerminal, RealTerminalFactory
from tests.sdk.ends import (
    ENV,
    close_pipes,
    descriptors,
    end_of,
    has_children,
    is_ready,
    kill,
    read_all,
    read_until,
)
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

FACTORY = RealTerminalFactory()


def spawn(*argv: str, rows: int = 27, cols: int = 72) -> RealTerminal:
    return FACTORY.spawn(argv, cwd=None, env=ENV, rows=rows, cols=cols)


def finish(terminal: RealTerminal) -> None:
    """Hang up and see the program end."""
    assert terminal.pid is not None
    terminal.close()
    end_of(terminal.pid)


@pytest.mark.parametrize(("rows", "cols"), [(27, 72), (1, 1), (65535, 65535)])
def test_program_sees_its_size_from_its_first_instruction(rows: int, cols: int) -> None:
    terminal = spawn("stty", "size", rows=rows, cols=cols)
    assert read_all(terminal.master_fd) == b"%d %d\r\n" % (rows, cols)
    finish(terminal)


RAW = "-icanon -echo -isig -opost -ixon -icrnl"


def modes(fd: int) -> set[str]:
    """The flags of `RAW` as they are."""
    shown = subprocess.run(["stty", "-a"], stdin=fd, stdout=subprocess.PIPE, text=True, check=True).stdout
    return set(shown.replace(";", " ").split()) & {*RAW.split(), *RAW.replace("-", "").split()}


def test_raw_terminal_is_raw_before_its_program_begins() -> None:
    for raw, expected in ((True, RAW), (False, RAW.replace("-", ""))):
        terminal = FACTORY.spawn(["sleep", "60"], cwd=None, env=ENV, rows=5, cols=7, raw=raw)
        assert modes(terminal.master_fd) == set(expected.split())
        finish(terminal)


def test_raw_terminal_with_nothing_on_it_is_raw() -> None:
    for raw, expected in ((True, RAW), (False, RAW.replace("-", ""))):
        terminal = FACTORY.open(5, 7, raw=raw)
        slave = terminal.open_slave()
        assert modes(slave) == set(expected.split())
        os.close(slave)
        terminal.close()


def test_terminal_that_cannot_be_made_raw_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr("plugin_host_sdk.exec.terminal.make_raw", refuse)
    before = descriptors()
    with pytest.raises(TerminalError, match="no terminal could be opened: no"):
        FACTORY.open(5, 7, raw=True)
    assert descriptors() == before


def test_program_leads_the_session_of_its_terminal() -> None:
    terminal = spawn("sh", "-c", "tty; ps -o tpgid= -p $$; echo $$")
    name, foreground, pid = read_all(terminal.master_fd).split()
    assert name.startswith(b"/dev/pts/")
    assert int(foreground) == int(pid) == terminal.pid
    finish(terminal)


def test_all_byte_values_pass_a_raw_terminal_both_ways() -> None:
    every = bytes(range(256))
    terminal = spawn("sh", "-c", "stty raw -echo; echo ready; exec head -c 256")
    read_until(terminal.master_fd, b"ready\n")
    os.write(terminal.master_fd, every)
    assert read_all(terminal.master_fd) == every
    finish(terminal)


def test_new_size_reaches_the_program() -> None:
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 60 & wait; done"
    terminal = spawn("sh", "-c", script)
    read_until(terminal.master_fd, b"ready\r\n")
    terminal.resize(40, 100)
    assert b"40 100\r\n" in read_until(terminal.master_fd, b"\n")
    finish(terminal)


@pytest.mark.parametrize(("rows", "cols"), [(0, 72), (27, 0), (65536, 72), (27, -1)])
def test_impossible_sizes_are_refused(rows: int, cols: int) -> None:
    with pytest.raises(TerminalError, match="1 to 65535"):
        spawn("true", rows=rows, cols=cols)
    with pytest.raises(TerminalError, match="1 to 65535"):
        FACTORY.open(rows, cols)
    terminal = FACTORY.open(27, 72)
    with pytest.raises(TerminalError, match="1 to 65535"):
        terminal.resize(rows, cols)
    terminal.close()
    assert not has_children()


def test_foreground_group_follows_the_job_that_has_the_terminal(wait_until: WaitUntil) -> None:
    terminal = spawn("bash", "--norc", "-c", "set -m; sleep 60; echo back; read")
    wait_until(lambda: terminal.foreground_group() not in (None, terminal.pid))
    job = terminal.foreground_group()
    assert job is not None
    os.killpg(job, signal.SIGTERM)
    read_until(terminal.master_fd, b"back")
    wait_until(lambda: terminal.foreground_group() == terminal.pid)
    finish(terminal)
    assert terminal.foreground_group() is None


def test_terminal_without_a_program_has_no_foreground_group() -> None:
    terminal = FACTORY.open(27, 72)
    assert terminal.foreground_group() is None
    assert terminal.pid is None
    terminal.close()


def test_end_of_file_is_the_character_the_program_has_set() -> None:
    script = "echo a; read x; stty eof ^B; echo b; read x; stty eof undef; echo c; read x"
    terminal = spawn("sh", "-c", script)
    marks = []
    for sign in (b"a\r\n", b"b\r\n", b"c\r\n"):
        read_until(terminal.master_fd, sign)
        marks.append(terminal.end_of_file())
        os.write(terminal.master_fd, b"\n")
    assert marks == [b"\x04", b"\x02", b"\x04"]
    finish(terminal)
    assert terminal.end_of_file() == b"\x04"


def test_hang_up_ends_the_program_and_closing_twice_is_nothing() -> None:
    before = descriptors()
    terminal = spawn("cat")
    assert terminal.pid is not None
    terminal.close()
    assert end_of(terminal.pid).signal == "SIGHUP"
    terminal.close()
    assert terminal.master_fd == -1
    assert descriptors() == before
    with pytest.raises(TerminalError, match="closed"):
        terminal.resize(1, 1)
    with pytest.raises(TerminalError, match="closed"):
        terminal.open_slave()


def test_closing_from_many_threads_closes_once() -> None:
    terminal = FACTORY.open(27, 72)
    barrier = threading.Barrier(4)

    def close() -> None:
        barrier.wait()
        terminal.close()

    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    bystander = os.open("/dev/null", os.O_RDONLY)  # would be hit by a second close
    for thread in threads:
        thread.join()
    os.close(bystander)


def test_nothing_but_close_ends_the_program() -> None:
    terminal = spawn("cat")
    pid, fd = terminal.pid, os.dup(terminal.master_fd)
    assert pid is not None
    os.close(terminal.master_fd)
    del terminal
    gc.collect()
    os.write(fd, b"hi\n")
    assert read_until(fd, b"hi\r\nhi\r\n")
    assert reap(pid) is None
    os.close(fd)
    end_of(pid)


def test_master_waits_for_nothing_and_is_not_inherited() -> None:
    spawned, bare = spawn("cat"), FACTORY.open(27, 72)
    slave = bare.open_slave()
    second = bare.open_slave()
    for fd in (spawned.master_fd, bare.master_fd, slave, second):
        assert not os.get_inheritable(fd)
    for fd in (spawned.master_fd, bare.master_fd):
        assert not os.get_blocking(fd)
        with pytest.raises(BlockingIOError):
            os.read(fd, 1)
    os.close(slave)
    os.close(second)
    bare.close()
    finish(spawned)


def test_bare_terminal_is_open_until_all_that_was_handed_out_is_closed() -> None:
    terminal = FACTORY.open(5, 6)
    assert not is_ready(terminal.master_fd), "nobody has come yet"
    first, second = terminal.open_slave(), terminal.open_slave()
    assert os.get_terminal_size(second) == (6, 5)
    os.close(first)
    assert not is_ready(terminal.master_fd)
    os.write(second, b"last")
    os.close(second)
    assert read_all(terminal.master_fd) == b"last"
    third = terminal.open_slave()
    os.write(third, b"again")
    assert read_until(terminal.master_fd, b"again")
    os.close(third)
    terminal.close()


def test_bare_terminal_nobody_came_to_leaves_nothing() -> None:
    before = descriptors()
    FACTORY.open(5, 6).close()
    assert descriptors() == before


def test_other_end_of_a_programs_terminal_can_be_opened() -> None:
    terminal = spawn("cat")
    slave = terminal.open_slave()
    os.write(slave, b"beside")
    assert read_until(terminal.master_fd, b"beside")
    os.close(slave)
    finish(terminal)


@pytest.mark.parametrize("kernel", ["new", "old"])
def test_other_end_never_becomes_the_plugins_own_terminal(kernel: str) -> None:
    # A leader without a terminal would get the first one it opens, and its hang-ups.
    code = f"""
import fcntl, os
from plugin_host_sdk.exec import terminal
if {kernel!r} == "old":
    terminal._GET_SLAVE = 0x5499  # no such request
bare = terminal.RealTerminalFactory().open(27, 72)
program = terminal.RealTerminalFactory().spawn(["cat"], cwd=None, env=dict(os.environ), rows=27, cols=72)
fds = [bare.open_slave(), bare.open_slave(), program.open_slave()]
print([os.isatty(fd) for fd in fds], open("/proc/self/stat").read().rsplit(")", 1)[1].split()[4])
program.close()
os.waitpid(program.pid, 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], start_new_session=True, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[True, True, True] 0"


def test_no_finaliser_of_the_plugin_runs_in_the_forked_child(monkeypatch: pytest.MonkeyPatch) -> None:
    enabled: list[bool] = []
    forkpty = os.forkpty

    def observed() -> tuple[int, int]:
        enabled.append(gc.isenabled())
        return forkpty()

    monkeypatch.setattr(os, "forkpty", observed)
    finish(spawn("true"))
    assert enabled == [False]
    assert gc.isenabled()
    gc.disable()
    try:
        finish(spawn("true"))
        assert not gc.isenabled(), "an author's choice stays"
    finally:
        gc.enable()


@pytest.mark.deadline(60)
def test_starts_at_the_same_time_leak_nothing_into_each_others_programs() -> None:
    terminals: list[RealTerminal] = []
    processes: list[PipeProcess] = []
    failures: list[str] = []
    barrier = threading.Barrier(8)
    numbers = iter(range(50))

    def work() -> None:
        barrier.wait()
        for number in numbers:
            if number % 2:
                terminals.append(spawn("cat"))
                pid, own = terminals[-1].pid, terminals[-1].master_fd
            else:
                processes.append(spawn_pipes(["cat"], cwd=None, env=ENV))
                pid, own = processes[-1].pid, processes[-1].stdout_fd
            if alien(pid) or os.get_inheritable(own):
                failures.append(f"{pid}: {alien(pid)}")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pids = [terminal.pid for terminal in terminals] + [process.pid for process in processes]
    assert len(pids) == 50
    failures += [f"{pid}: {alien(pid)}" for pid in pids if alien(pid)]
    for terminal in terminals:
        finish(terminal)
    for process in processes:
        close_pipes(process)
        end_of(process.pid)
    assert failures == []


def alien(pid: int | None) -> list[str]:
    """What a program holds beside its three ends; the libraries it may be loading are its own."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue  # closed just now
        if int(name) > 2 and not target.startswith(("/lib", "/usr", "/etc")):
            found.append(target)
    return found


def test_program_that_ends_at_once_loses_no_output() -> None:
    for _ in range(20):
        terminal = spawn("echo", "all of it")
        assert terminal.pid is not None
        end_of(terminal.pid)
        assert read_all(terminal.master_fd) == b"all of it\r\n"
        terminal.close()


def test_program_that_ignores_hang_ups_outlives_its_terminal() -> None:
    terminal = spawn("sh", "-c", "trap '' HUP; echo ready; exec sleep 60")
    read_until(terminal.master_fd, b"ready")
    assert terminal.pid is not None
    terminal.close()
    assert reap(terminal.pid) is None
    kill(terminal.pid)
