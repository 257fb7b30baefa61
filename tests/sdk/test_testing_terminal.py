"""The fake terminals that are shipped: real descriptors, and a program that the test plays."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.testing import FakeTerminal, FakeTerminalFactory
from tests.later import later
from tests.wait import WaitUntil

EVERY_BYTE = bytes(range(256))


@pytest.fixture
def terminals() -> Iterator[FakeTerminalFactory]:
    with FakeTerminalFactory() as terminals:
        yield terminals


def read_master(fd: int, size: int, timeout: float = 5.0) -> bytes:
    """What a manager reads: `size` bytes, or fewer when the terminal ends first."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    data = b""
    while len(data) < size:
        assert poll.poll(timeout * 1000), f"only {len(data)} of {size} bytes"
        try:
            piece = os.read(fd, size - len(data))
        except OSError:  # how the end of a terminal looks
            break
        data += piece
    return data


def spawn(terminals: FakeTerminalFactory) -> FakeTerminal:
    return terminals.spawn(["bash", "-l"], cwd="/tmp", env={"A": "b"}, rows=24, cols=80)


def status_of(terminal: FakeTerminal) -> int:
    """The exit code, or the negative signal."""
    assert terminal.pid is not None
    return os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1])


def test_descriptor_is_as_a_manager_needs_it(terminals: FakeTerminalFactory) -> None:
    terminal = terminals.open(24, 80)
    assert not os.get_blocking(terminal.master_fd)
    assert not os.get_inheritable(terminal.master_fd)
    with pytest.raises(BlockingIOError):
        os.read(terminal.master_fd, 1)


def test_input_reaches_the_program_byte_for_byte(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    os.write(terminal.master_fd, EVERY_BYTE)
    assert terminal.read_input(100) == EVERY_BYTE[:100]
    assert terminal.read_input(156) == EVERY_BYTE[100:]


def test_input_is_waited_for(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    later(lambda: os.write(terminal.master_fd, b"ls\rpwd"))
    assert terminal.wait_for_input(b"\r") == b"ls\r"
    assert terminal.read_input(3) == b"pwd"


def test_input_that_does_not_come_is_named_and_what_came_is_kept(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    os.write(terminal.master_fd, b"ab")
    assert terminal.read_input(1) == b"a"
    with pytest.raises(TimeoutError, match=r"no 3 bytes of input in 0.01 s, only b'b'"):
        terminal.read_input(3, timeout=0.01)
    with pytest.raises(TimeoutError, match=r"no b'x' of input"):
        terminal.wait_for_input(b"x", timeout=0.01)
    assert terminal.read_input(1) == b"b"


def test_output_reaches_the_manager_byte_for_byte(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    terminal.write_output(EVERY_BYTE)
    assert read_master(terminal.master_fd, 256) == EVERY_BYTE


def test_output_waits_for_a_manager_that_does_not_read(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    data = EVERY_BYTE * 4096
    with pytest.raises(TimeoutError, match=r"of 1048576 bytes were not taken in 0.05 s"):
        terminal.write_output(data, timeout=0.05)
    taken = read_master(terminal.master_fd, 1)
    assert taken == data[:1]


def test_a_mebibyte_passes_both_ways(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    data = EVERY_BYTE * 4096
    later(lambda: terminal.write_output(data))
    assert read_master(terminal.master_fd, len(data)) == data
    later(lambda: write_master(terminal.master_fd, data))
    assert terminal.read_input(len(data)) == data


def write_master(fd: int, data: bytes) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    left = memoryview(data)
    while left and poll.poll(5000):
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            continue


def test_terminal_ends_behind_the_output_of_a_program_that_hangs_up(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    terminal.write_output(b"bye")
    terminal.hang_up()
    assert read_master(terminal.master_fd, 100) == b"bye"
    with pytest.raises(TerminalError, match="has hung up"):
        terminal.write_output(b"more")


def test_input_that_had_arrived_outlives_both_ends(terminals: FakeTerminalFactory) -> None:
    for end in (FakeTerminal.hang_up, FakeTerminal.close):
        terminal = spawn(terminals)
        os.write(terminal.master_fd, b"abc")
        assert terminal.read_input(1) == b"a"
        end(terminal)
        assert terminal.read_input(2) == b"bc"
        with pytest.raises(TerminalError, match="the input ended before 1 bytes came: b''"):
            terminal.read_input(1)


def test_size_is_set_and_recorded(terminals: FakeTerminalFactory) -> None:
    terminal = terminals.open(24, 80)
    assert tuple(os.get_terminal_size(terminal.master_fd)) == (80, 24)
    later(lambda: terminal.resize(50, 132))
    terminal.wait_for_size(50, 132)
    assert terminal.sizes == [(24, 80), (50, 132)]
    assert tuple(os.get_terminal_size(terminal.master_fd)) == (132, 50)
    with pytest.raises(TimeoutError, match=r"the size is \(50, 132\)"):
        terminal.wait_for_size(1, 1, timeout=0.01)


def test_size_out_of_range_is_refused_and_not_recorded(terminals: FakeTerminalFactory) -> None:
    terminal = terminals.open(24, 80)
    with pytest.raises(TerminalError, match="1 to 65535"):
        terminal.resize(0, 80)
    assert terminal.sizes == [(24, 80)]


def test_handler_with_the_descriptor_is_the_program(terminals: FakeTerminalFactory) -> None:
    terminal = terminals.open(24, 80)
    slave = terminal.open_slave()
    try:
        assert os.isatty(slave)
        assert not os.get_inheritable(slave)
        os.write(slave, b"from the handler")
        assert read_master(terminal.master_fd, 16) == b"from the handler"
        os.write(terminal.master_fd, b"typed")
        assert os.read(slave, 5) == b"typed"
    finally:
        os.close(slave)
    # Nobody else holds it, so it is at its end.
    assert read_master(terminal.master_fd, 1) == b""
    assert terminal.argv is None
    assert terminal.pid is None
    assert terminal.foreground_group() is None


def test_test_may_play_the_program_of_a_bare_terminal(terminals: FakeTerminalFactory) -> None:
    terminal = terminals.open(24, 80)
    terminal.write_output(b"prompt")
    assert read_master(terminal.master_fd, 6) == b"prompt"
    with pytest.raises(TerminalError, match="nothing was spawned"):
        terminal.finish()


def test_end_of_file_character_arrives_as_any_other(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    assert terminal.end_of_file() == b"\x04"
    os.write(terminal.master_fd, terminal.end_of_file())
    assert terminal.read_input(1) == b"\x04"


def test_close_is_seen_once_and_for_all(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    master = terminal.master_fd
    with pytest.raises(TimeoutError, match="still open"):
        terminal.wait_for_close(timeout=0.01)
    later(terminal.close)
    terminal.wait_for_close()
    terminal.close()
    assert terminal.is_closed
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(master)
    assert repr(terminal) == "<FakeTerminal closed argv=['bash', '-l'] size=(24, 80)>"


def test_writer_learns_that_the_manager_has_closed(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    later(terminal.close)
    with pytest.raises(TerminalError, match="closed the terminal"):
        terminal.write_output(bytes(10_000_000))


def test_reader_learns_that_the_manager_has_closed(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    later(terminal.close)
    with pytest.raises(TerminalError, match="the input ended"):
        terminal.read_input(1)


# What is spawned on it.


def test_spawn_records_what_was_asked_for(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    assert terminals.terminals == [terminal]
    assert (terminal.argv, terminal.cwd, terminal.env) == (["bash", "-l"], "/tmp", {"A": "b"})
    assert terminal.sizes == [(24, 80)]


def test_stand_in_leads_a_session_and_has_the_environment(
    terminals: FakeTerminalFactory, wait_until: WaitUntil
) -> None:
    terminal = spawn(terminals)
    assert terminal.pid is not None
    assert os.getsid(terminal.pid) == os.getpgid(terminal.pid) == terminal.pid
    assert terminal.foreground_group() == terminal.pid
    environment = Path(f"/proc/{terminal.pid}/environ")
    # The system shows it a moment after the program has been started.
    wait_until(lambda: b"A=b" in environment.read_bytes().split(b"\0"))


@pytest.mark.parametrize("code", [0, 3, 255])
def test_program_finishes_with_a_code(terminals: FakeTerminalFactory, code: int) -> None:
    terminal = spawn(terminals)
    terminal.write_output(b"bye")
    terminal.finish(code)
    assert status_of(terminal) == code
    assert read_master(terminal.master_fd, 100) == b"bye"


@pytest.mark.parametrize(("name", "number"), [("SIGKILL", 9), ("SIGINT", 2), ("SIGHUP", 1)])
def test_program_finishes_by_a_signal(terminals: FakeTerminalFactory, name: str, number: int) -> None:
    terminal = spawn(terminals)
    terminal.finish(signal=name)
    terminal.finish(7)  # it is ending already
    assert status_of(terminal) == -number


@pytest.mark.parametrize("code", [-1, 256])
def test_impossible_exit_code_is_refused(terminals: FakeTerminalFactory, code: int) -> None:
    with pytest.raises(ValueError, match=f"an exit code is 0 to 255, not {code}"):
        spawn(terminals).finish(code)


def test_unknown_signal_is_refused(terminals: FakeTerminalFactory) -> None:
    with pytest.raises(KeyError, match="SIGNONE"):
        spawn(terminals).finish(signal="SIGNONE")


def test_program_that_is_killed_lets_go_of_the_terminal(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    assert terminal.pid is not None
    os.killpg(terminal.pid, 15)
    assert status_of(terminal) == -15
    assert read_master(terminal.master_fd, 1) == b""
    terminal.finish(0)


def test_child_of_a_program_that_finished_may_keep_the_terminal(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    terminal.finish(0, keep_open=True)
    assert status_of(terminal) == 0
    terminal.write_output(b"still here")
    assert read_master(terminal.master_fd, 10) == b"still here"


def test_program_is_hung_up_with_its_terminal(terminals: FakeTerminalFactory) -> None:
    terminal = spawn(terminals)
    terminal.close()
    assert status_of(terminal) == -1


# The factory.


def test_next_terminal_is_waited_for(terminals: FakeTerminalFactory) -> None:
    first = terminals.open(24, 80)
    later(lambda: spawn(terminals))
    second = terminals.wait_for_terminal(2)
    assert terminals.terminals == [first, second]
    assert terminals.wait_for_terminal() is first
    with pytest.raises(TimeoutError, match=r"2 terminals after 0.01 s, not 3"):
        terminals.wait_for_terminal(3, timeout=0.01)


def test_terminals_fail_on_demand(terminals: FakeTerminalFactory) -> None:
    terminals.fail()
    with pytest.raises(TerminalError, match="the test does not let it") as caught:
        terminals.open(24, 80)
    assert caught.value.data == {"reason": "system", "errno": errno.ENOSPC, "file": ""}
    terminals.fail(TerminalError("not here"), times=2)
    with pytest.raises(TerminalError, match="not here"):
        spawn(terminals)
    with pytest.raises(TerminalError, match="not here"):
        terminals.open(24, 80)
    assert terminals.terminals == []
    assert terminals.open(24, 80).sizes == [(24, 80)]


def test_factory_closes_what_it_gave() -> None:
    with FakeTerminalFactory() as terminals:
        made = [terminals.open(24, 80), spawn(terminals)]
    assert all(terminal.is_closed for terminal in made)
    pid = made[1].pid
    assert pid is not None
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)
