"""Reading one output of a session: as fast as it may, no faster, and to the last byte."""

from __future__ import annotations

import fcntl
import os
import pty
import sys
import termios
from collections.abc import Iterator

import pytest

from plugin_host_sdk.exec import output as output_module
from plugin_host_sdk.exec.pipesize import PipeSizes
from plugin_host_sdk.exec.reactor import READ
from plugin_host_sdk.protocol import FULL_PAYLOAD_BYTES
from tests.sdk.seat import Seat

MIB = 1024 * 1024
SILENCE_S, BUSY_S = 1.0, 0.0005


@pytest.fixture
def pipe() -> Iterator[Seat]:
    seat = Seat()
    yield seat
    seat.release()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seat]:
    seat = Seat(is_terminal=True)
    monkeypatch.setattr(output_module, "monotonic", lambda: seat.now)
    yield seat
    seat.release()


# Both kinds.


def test_nothing_is_read_before_it_is_said(pipe: Seat) -> None:
    pipe.write(b"early")
    pipe.reactor.settle()
    assert pipe.fed == []
    pipe.output.resume()
    pipe.reactor.settle()
    assert pipe.fed == [b"early"]


def test_what_was_read_before_comes_first() -> None:
    seat = Seat(before=b"buffered ")
    seat.write(b"and live")
    seat.output.resume()
    seat.output.resume()
    seat.reactor.settle()
    assert seat.data == b"buffered and live"
    seat.release()


@pytest.mark.parametrize("is_terminal", [False, True])
def test_end_is_told_once_after_the_last_byte_and_gives_the_descriptor_back(is_terminal: bool) -> None:
    seat = Seat(is_terminal=is_terminal)
    seat.output.resume()
    seat.write(b"last words")
    seat.hang_up()
    seat.reactor.settle()
    assert seat.data == b"last words"
    assert (seat.ends, seat.closes, seat.output.is_over) == (["stdout"], 1, True)
    seat.output.close()
    seat.output.resume()
    seat.output.drain()
    seat.reactor.breathe()
    assert (seat.ends, seat.closes, seat.reactor.watched) == (["stdout"], 1, {})


@pytest.mark.parametrize("is_terminal", [False, True])
def test_end_of_a_terminal_looks_like_an_error_and_is_none(is_terminal: bool) -> None:
    seat = Seat(is_terminal=is_terminal)
    master, slave = pty.openpty()
    os.write(slave, b"last")
    os.close(slave)
    os.dup2(master, seat.reading, inheritable=False)
    os.close(master)
    seat.output.resume()
    seat.reactor.settle()
    seat.hang_up()
    assert (seat.ends, seat.data) == (["stdout"], b"last")


def test_close_ends_it_with_what_was_read(terminal: Seat) -> None:
    terminal.output.resume()
    flood(terminal, 2)
    assert len(terminal.data) == 2000
    terminal.output.close()
    assert len(terminal.data) == 4000
    assert (terminal.ends, terminal.closes) == (["stdout"], 1)
    terminal.reactor.breathe()


@pytest.mark.parametrize("is_terminal", [False, True])
def test_reading_stops_without_room_and_goes_on_when_it_is_resumed(is_terminal: bool) -> None:
    seat = Seat(is_terminal=is_terminal)
    seat.may_read = 5
    seat.output.resume()
    seat.write(b"0123456789")
    seat.reactor.settle()
    seat.reactor.breathe()
    assert seat.data == b"01234"
    assert seat.reactor.watched == {}
    seat.may_read = 3
    seat.output.resume()
    seat.reactor.settle()
    seat.reactor.breathe()
    assert seat.data == b"01234567"
    assert seat.reactor.watched == {}
    seat.may_read = None
    seat.output.resume()
    seat.reactor.settle()
    seat.reactor.breathe()
    assert seat.data == b"0123456789"
    assert seat.is_reading
    seat.release()


@pytest.mark.parametrize("is_terminal", [False, True])
def test_end_is_not_noticed_while_nothing_may_be_read(is_terminal: bool) -> None:
    seat = Seat(is_terminal=is_terminal)
    seat.may_read = 0
    seat.output.resume()
    seat.write(b"kept")
    seat.hang_up()
    seat.reactor.settle()
    assert (seat.ends, seat.fed) == ([], [])
    seat.may_read = None
    seat.output.resume()
    seat.reactor.settle()
    assert (seat.ends, seat.data) == (["stdout"], b"kept")


@pytest.mark.parametrize("is_terminal", [False, True])
def test_all_byte_values_pass(is_terminal: bool) -> None:
    seat, every = Seat(is_terminal=is_terminal), bytes(range(256))
    seat.output.resume()
    seat.write(every)
    seat.reactor.settle()
    assert seat.data == every
    seat.release()


def test_repr_tells_the_state(pipe: Seat) -> None:
    assert repr(pipe.output) == f"<Output stdout fd={pipe.reading} watched=False>"


# After the process has ended.


@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_a_process_left_is_read_without_room(is_terminal: bool) -> None:
    seat = Seat(is_terminal=is_terminal)
    seat.may_read = 0
    seat.output.resume()
    seat.write(b"left behind")
    seat.reactor.settle()
    seat.hang_up()
    seat.output.drain()
    seat.reactor.settle()
    seat.reactor.breathe()
    assert (seat.data, seat.ends) == (b"left behind", ["stdout"])


def test_no_more_is_read_than_a_process_can_leave(pipe: Seat) -> None:
    """A grandchild that writes on must not fill the memory of a session that nobody reads."""
    pipe.may_read = 0
    pipe.output.resume()
    pipe.reactor.settle()
    pipe.output.drain()
    written = 0
    while written < 4 * MIB:
        try:
            written += os.write(pipe.writing, bytes(65536))
        except BlockingIOError:
            if not pipe.reactor.turn():
                break
    assert MIB <= len(pipe.data) <= MIB + 64 * 1024
    assert not pipe.is_reading


@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_lies_there_is_read_when_it_is_cut_off(is_terminal: bool) -> None:
    seat = Seat(is_terminal=is_terminal)
    seat.may_read = 0
    seat.output.resume()
    seat.output.drain()
    seat.write(b"just now")
    seat.output.cut_off()
    assert (seat.data, seat.ends, seat.closes) == (b"just now", ["stdout"], 1)
    seat.output.cut_off()
    seat.hang_up()


def test_flood_is_cut_off_all_the_same(pipe: Seat) -> None:
    pipe.may_read = 0
    pipe.output.resume()
    pipe.output.drain()
    pipe.output._budget = 100
    pipe.write(bytes(1000))
    pipe.output.cut_off()
    assert (len(pipe.data), pipe.ends) == (100, ["stdout"])


def test_nothing_is_read_when_a_session_that_runs_is_cut_off(pipe: Seat) -> None:
    pipe.write(b"x")
    pipe.output.cut_off()
    assert (pipe.fed, pipe.ends) == ([], ["stdout"])


@pytest.mark.parametrize("is_terminal", [False, True])
def test_end_that_is_none_is_passed_over(is_terminal: bool) -> None:
    """A daemon has closed its terminal, and may open it again."""
    revivals = [True, True, False]
    seat = Seat(is_terminal=is_terminal, revive=lambda: revivals.pop(0))
    seat.output.resume()
    seat.write(b"before")
    seat.hang_up()
    assert seat.reactor.turn()
    assert seat.reactor.turn()
    assert (seat.data, seat.ends) == (b"before", [])
    seat.reactor.settle()
    assert (seat.data, seat.ends, revivals) == (b"before", ["stdout"], [])


def test_abandoned_one_is_closed_without_a_word(pipe: Seat) -> None:
    pipe.output.abandon()
    assert (pipe.closes, pipe.ends, pipe.output.is_over) == (1, [], True)


# Pipes.


def test_pipe_is_read_in_large_pieces_that_are_passed_on_at_once(pipe: Seat) -> None:
    pipe.output.resume()
    pipe.write(bytes(FULL_PAYLOAD_BYTES))
    pipe.reactor.turn()
    assert [len(data) for data in pipe.fed] == [FULL_PAYLOAD_BYTES]
    assert pipe.reactor.breaths == []


def test_full_pipe_is_read_more_than_once_a_turn_while_nothing_else_waits(pipe: Seat) -> None:
    fcntl.fcntl(pipe.reading, fcntl.F_SETPIPE_SZ, MIB)
    pipe.output.resume()
    pipe.write(bytes(6 * FULL_PAYLOAD_BYTES))
    pipe.reactor.turn()
    assert [len(data) for data in pipe.fed] == [FULL_PAYLOAD_BYTES] * 4
    pipe.reactor.is_alone = False
    pipe.reactor.turn()
    assert len(pipe.fed) == 5
    pipe.may_read = FULL_PAYLOAD_BYTES - 1
    pipe.reactor.is_alone = True
    pipe.write(bytes(FULL_PAYLOAD_BYTES))
    pipe.reactor.turn()
    assert [len(data) for data in pipe.fed[5:]] == [FULL_PAYLOAD_BYTES - 1], "no more than may be read"


def test_pipe_that_gives_way_is_read_once_a_turn(pipe: Seat) -> None:
    fcntl.fcntl(pipe.reading, fcntl.F_SETPIPE_SZ, MIB)
    pipe.gives_way = True
    pipe.output.resume()
    pipe.write(bytes(2 * 65536))
    pipe.reactor.turn()
    assert len(pipe.fed) == 1


def test_terminal_that_gives_way_lets_others_go_first_now_and_then(terminal: Seat) -> None:
    terminal.gives_way = True
    terminal.output.resume()
    for _ in range(9):
        terminal.write(bytes(8190))
        terminal.reactor.settle()
    assert terminal.reactor.watched == {}
    terminal.reactor.breathe()
    assert terminal.is_reading


def test_unseen_pipe_lets_others_go_first_now_and_then(pipe: Seat) -> None:
    pipe.gives_way = True
    pipe.output.resume()
    for _ in range(4):
        assert pipe.reactor.watched == {pipe.reading: READ}
        pipe.write(bytes(65536))
        pipe.reactor.settle()
    assert len(pipe.data) == 4 * 65536
    assert pipe.reactor.watched == {}
    pipe.write(b"x")
    pipe.reactor.settle()
    assert len(pipe.data) == 4 * 65536
    pipe.reactor.breathe()
    assert len(pipe.data) == 4 * 65536 + 1
    assert pipe.is_reading


def test_pause_of_an_unseen_pipe_ends_with_it(pipe: Seat) -> None:
    pipe.gives_way = True
    pipe.output.resume()
    for _ in range(4):
        pipe.write(bytes(65536))
        pipe.reactor.settle()
    pipe.output.close()
    pipe.reactor.breathe()
    assert (pipe.ends, pipe.reactor.watched) == (["stdout"], {})


def test_pipe_that_is_full_again_and_again_is_made_larger(pipe: Seat) -> None:
    pipe.output.resume()
    size = fcntl.fcntl(pipe.reading, fcntl.F_GETPIPE_SZ)
    for _ in range(15):
        pipe.write(bytes(65536))
        pipe.reactor.settle()
    assert fcntl.fcntl(pipe.reading, fcntl.F_GETPIPE_SZ) == size
    pipe.write(bytes(65536))
    pipe.reactor.settle()
    assert fcntl.fcntl(pipe.reading, fcntl.F_GETPIPE_SZ) == MIB


def test_few_pipes_are_large_at_a_time() -> None:
    sizes, pipes = PipeSizes(), [os.pipe() for _ in range(9)]
    try:
        for reading, _ in pipes:
            sizes.enlarge(reading)
        assert [fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) == MIB for fd, _ in pipes] == [True] * 8 + [False]
        sizes.forget(pipes[0][0])
        sizes.enlarge(pipes[8][0])
        assert fcntl.fcntl(pipes[8][0], fcntl.F_GETPIPE_SZ) == MIB
    finally:
        for pair in pipes:
            for fd in pair:
                os.close(fd)


def test_what_is_no_pipe_is_not_made_larger() -> None:
    with open("/dev/null", "rb") as null:
        PipeSizes().enlarge(null.fileno())


# Terminals.


def flood(seat: Seat, pieces: int, size: int = 2000) -> None:
    """As many pieces as a busy terminal gives, one shortly after the other."""
    for number in range(pieces):
        seat.now += SILENCE_S if number == 0 else BUSY_S
        seat.write(bytes([number]) * size)
        seat.reactor.settle()


def test_first_output_after_silence_is_passed_on_at_once(terminal: Seat) -> None:
    terminal.output.resume()
    terminal.write(bytes(3000))
    terminal.reactor.settle()
    assert [len(data) for data in terminal.fed] == [3000]
    assert terminal.reactor.breaths == []


def test_flood_is_gathered_for_a_moment_and_keeps_its_order(terminal: Seat) -> None:
    terminal.output.resume()
    flood(terminal, 4)
    assert [len(data) for data in terminal.fed] == [2000]
    terminal.reactor.breathe()
    assert [len(data) for data in terminal.fed] == [2000, 6000]
    assert terminal.data == b"".join(bytes([number]) * 2000 for number in range(4))


def test_few_bytes_do_not_wait_for_more(terminal: Seat) -> None:
    """The echo of a key that follows another at once."""
    terminal.output.resume()
    for key in b"typed fast":
        terminal.now += BUSY_S
        terminal.write(bytes([key]))
        terminal.reactor.settle()
    assert terminal.fed == [bytes([key]) for key in b"typed fast"]


def test_few_bytes_behind_gathered_ones_do_not_overtake_them(terminal: Seat) -> None:
    terminal.output.resume()
    flood(terminal, 2)
    terminal.now += BUSY_S
    terminal.write(b"end")
    terminal.reactor.settle()
    assert len(terminal.data) == 2000
    terminal.reactor.breathe()
    assert terminal.data.endswith(b"\1end")


def test_much_output_is_passed_on_before_the_moment_is_over(terminal: Seat) -> None:
    terminal.output.resume()
    flood(terminal, 40)
    assert max(len(data) for data in terminal.fed) <= 66 * 1024
    assert len(terminal.data) > 64 * 1024
    terminal.reactor.breathe()
    assert len(terminal.data) == 80_000


def test_gathered_output_counts_as_read(terminal: Seat) -> None:
    terminal.output.resume()
    flood(terminal, 2)
    terminal.may_read = 3000
    terminal.now += BUSY_S
    terminal.write(bytes(5000))
    terminal.reactor.settle()
    terminal.reactor.breathe()
    assert len(terminal.data) == 2000 + 3000
    assert not terminal.is_reading


def test_moment_is_waited_for_once(terminal: Seat) -> None:
    terminal.output.resume()
    flood(terminal, 5)
    assert len(terminal.reactor.breaths) == 1
    terminal.reactor.breathe()
    terminal.now += BUSY_S
    terminal.write(bytes(2000))
    terminal.reactor.settle()
    assert len(terminal.reactor.breaths) == 1
    terminal.reactor.breathe()
    assert len(terminal.data) == 12_000


def test_end_in_the_middle_of_a_flood_comes_behind_it(terminal: Seat) -> None:
    terminal.output.resume()
    flood(terminal, 3)
    terminal.write(b"last")
    terminal.hang_up()
    terminal.reactor.settle()
    assert terminal.data.endswith(b"\2last")
    assert terminal.ends == ["stdout"]
    terminal.reactor.breathe()
    assert len(terminal.data) == 6004


@pytest.mark.parametrize(
    ("is_alone", "gives_way", "most"), [(True, False, 8), (False, False, 2), (True, True, 2)]
)
def test_flooding_terminal_is_read_in_short_turns_while_anything_else_waits(
    terminal: Seat, is_alone: bool, gives_way: bool, most: int
) -> None:
    terminal.reactor.is_alone, terminal.gives_way = is_alone, gives_way
    terminal.output.resume()
    terminal.write(bytes(40_000))
    terminal.reactor.turn()
    left = int.from_bytes(fcntl.ioctl(terminal.reading, termios.FIONREAD, bytes(4)), sys.byteorder)
    assert 40_000 - left == most * 4095
