"""The input of a session: in order, no faster than it is read, and ended where its writer said."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.errors import CallFailed, SessionClosed
from plugin_host_sdk.exec.input import Input
from plugin_host_sdk.exec.reactor import WRITE, Reactor
from plugin_host_sdk.testing import FakeClock, RecordingSink
from tests.sdk.turned import TurnedReactor

NUMBER, WINDOW = 2, 4096
END_OF_FILE = b"\x04"
PIPE_BYTES = 65536


def content(start: int, size: int) -> bytes:
    return bytes((at * 7 + at // 251) % 256 for at in range(start, start + size))


class Seat:
    """An input between its writer, the sink, and its program, which is a pipe."""

    def __init__(self, window: int = WINDOW) -> None:
        self.sink = RecordingSink()
        self.reactor = TurnedReactor()
        self.input = Input("s", self.sink, self.reactor)
        self.granted = self.input.open(NUMBER, window)
        self.closes = 0
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        os.set_blocking(self.writing, False)

    def connect(self, *, is_terminal: bool = False) -> None:
        self.input.connect(self.writing, self._close, (lambda: END_OF_FILE) if is_terminal else None)

    def _close(self) -> None:
        os.close(self.writing)
        self.writing = -1
        self.closes += 1

    def type(self, data: bytes) -> None:
        self.sink.type(NUMBER, data)

    def read(self, size: int = 1 << 20) -> bytes:
        """What the program gets now; nothing when there is nothing yet."""
        try:
            return os.read(self.reading, size)
        except BlockingIOError:
            return b""

    def read_all(self) -> bytes:
        """What the program gets up to the end of its input."""
        whole = b""
        while True:
            self.reactor.settle()
            try:
                data = os.read(self.reading, 1 << 20)
            except BlockingIOError:
                raise AssertionError(f"the input has no end behind {len(whole)} bytes") from None
            if not data:
                return whole
            whole += data

    def read_to_hangup(self) -> bytes:
        """What the program of a terminal gets, up to the moment when its session has ended."""
        self.reactor.settle()
        whole = self.read()
        assert self.closes == 0  # it may have to be told again
        self.input.close()
        return whole + self.read_all()

    @property
    def has_ended(self) -> bool:
        """Whether the program has seen all, and the end."""
        try:
            return os.read(self.reading, 1) == b""
        except BlockingIOError:
            return False

    @property
    def consumed(self) -> int:
        return self.sink.consumed_bytes(NUMBER)

    @property
    def is_stopped(self) -> bool:
        return self.sink.stops() == [NUMBER]

    def fill(self) -> int:
        """Fill the pipe, so that nothing more fits; how much that took."""
        size = 0
        while True:
            try:
                size += os.write(self.writing, bytes(4096))
            except BlockingIOError:
                return size

    def release(self) -> None:
        self.input.close()
        if self.writing >= 0:
            self._close()
        os.close(self.reading)
        assert self.sink.faults == []
        assert self.reactor.watched == {}


@pytest.fixture
def seat() -> Iterator[Seat]:
    seat = Seat()
    yield seat
    seat.release()


# Bytes.


def test_window_that_is_asked_for_is_granted(seat: Seat) -> None:
    assert seat.granted == WINDOW


def test_bytes_are_written_when_they_arrive(seat: Seat) -> None:
    seat.connect()
    seat.type(b"ls\n")
    assert seat.read() == b"ls\n"
    assert seat.consumed == 3
    assert seat.reactor.watched == {}


def test_bytes_that_come_before_the_program_wait_for_it(seat: Seat) -> None:
    seat.type(b"early ")
    seat.type(b"bird")
    assert seat.consumed == 0
    seat.connect()
    assert seat.read() == b"early bird"
    assert seat.consumed == 10


def test_what_finds_no_room_waits_and_gives_no_credit_meanwhile(seat: Seat) -> None:
    filled = seat.fill()
    seat.connect()
    seat.type(content(0, 10))
    seat.type(content(10, 10))
    seat.reactor.settle()
    assert seat.consumed == 0
    assert seat.reactor.watched == {seat.writing: WRITE}
    assert len(seat.read(filled)) == filled
    seat.reactor.settle()
    assert seat.read() == content(0, 20)
    assert seat.consumed == 20
    assert seat.reactor.watched == {}


def test_program_that_does_not_read_holds_its_writer_within_the_window(seat: Seat) -> None:
    seat.fill()
    seat.connect()
    with pytest.raises(TimeoutError, match=r"904 of 5000 bytes"):
        seat.sink.type(NUMBER, content(0, 5000), timeout=0.05)
    assert seat.consumed == 0


def test_only_what_was_written_gives_credit(seat: Seat) -> None:
    filled = seat.fill()
    seat.connect()
    seat.type(content(0, WINDOW))
    seat.read(filled - PIPE_BYTES + 4096)  # pipes take whole pages
    seat.reactor.turn()
    assert seat.consumed == 4096
    assert seat.input._write_waiting() == 0


@given(
    st.lists(
        st.tuples(st.just("type"), st.integers(1, 3000))
        | st.tuples(st.just("read"), st.integers(1, 5000))
        | st.tuples(st.just("turn"), st.just(0))
        | st.tuples(st.just("connect"), st.just(0)),
        max_size=30,
    )
)
def test_every_byte_arrives_in_order_once(plan: list[tuple[str, int]]) -> None:
    seat = Seat(window=1 << 20)
    filled = len(bytes(seat.fill()))
    typed, got, is_connected = 0, b"", False
    for step, size in plan:
        if step == "type":
            seat.type(content(typed, size))
            typed += size
        elif step == "read":
            got += seat.read(size)
        elif step == "turn":
            seat.reactor.turn()
        elif not is_connected:
            is_connected = True
            seat.connect()
        assert seat.consumed <= typed
    if not is_connected:
        seat.connect()
    seat.input.end_after(typed)
    got += seat.read_all()
    assert got == bytes(filled) + content(0, typed)
    assert (seat.consumed, seat.closes) == (typed, 1)
    assert seat.sink.stops() == []
    seat.release()


@pytest.mark.deadline(30)
def test_writer_and_reactor_of_different_threads_keep_the_order() -> None:
    sink, reactor = RecordingSink(), Reactor(FakeClock(), pytest.fail)
    typing = Input("s", sink, reactor)
    typing.open(NUMBER, 32 * 1024)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    typing.connect(writing, lambda: os.close(writing))
    data, got = content(0, 1 << 20), bytearray()

    def write() -> None:
        for at in range(0, len(data), 1000):
            sink.type(NUMBER, data[at : at + 1000], timeout=20)
        typing.end_after(len(data))

    writer = threading.Thread(target=write)
    writer.start()
    while piece := os.read(reading, 3000):
        got += piece
    writer.join(10)
    reactor.close()
    os.close(reading)
    assert got == data
    assert sink.consumed_bytes(NUMBER) == len(data)
    assert sink.faults == []


# The end.


def test_end_of_what_has_arrived_closes_the_descriptor(seat: Seat) -> None:
    seat.connect()
    seat.type(b"all")
    assert seat.read() == b"all"
    seat.input.end_after(3)
    assert seat.has_ended
    assert seat.closes == 1
    assert not seat.is_stopped  # its writer knows where it ends


def test_end_that_overtakes_its_bytes_waits_for_them(seat: Seat) -> None:
    seat.connect()
    seat.type(b"on")
    seat.input.end_after(5)
    assert seat.closes == 0
    seat.type(b"e m")
    assert seat.read_all() == b"one m"
    assert seat.closes == 1


def test_end_waits_for_what_finds_no_room(seat: Seat) -> None:
    filled = seat.fill()
    seat.connect()
    seat.type(b"last")
    seat.input.end_after(4)
    seat.reactor.settle()
    assert seat.closes == 0
    assert seat.read_all() == bytes(filled) + b"last"


def test_end_that_comes_before_the_program_waits_for_it(seat: Seat) -> None:
    seat.type(b"data")
    seat.input.end_after(4)
    seat.connect()
    assert seat.read_all() == b"data"


def test_input_may_be_nothing_at_all(seat: Seat) -> None:
    seat.connect()
    seat.input.end_after(0)
    assert seat.has_ended


def test_end_without_a_stream_ends_the_input() -> None:
    reactor = TurnedReactor()
    reading, writing = os.pipe()
    typing = Input("s", RecordingSink(), reactor)
    typing.connect(writing, lambda: os.close(writing))
    typing.end_after(0)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_end_may_be_told_again(seat: Seat) -> None:
    seat.connect()
    seat.input.end_after(3)
    seat.input.end_after(3)
    seat.type(b"abc")
    assert seat.read_all() == b"abc"
    seat.input.end_after(3)


def test_end_before_what_has_arrived_is_refused(seat: Seat) -> None:
    seat.connect()
    seat.type(b"12345")
    with pytest.raises(CallFailed, match="cannot end after 4 bytes: 5 have arrived") as caught:
        seat.input.end_after(4)
    assert caught.value.name == "rpc.invalid_params"
    assert seat.closes == 0


def test_bytes_behind_the_end_are_not_written(seat: Seat) -> None:
    seat.connect()
    seat.input.end_after(5)
    seat.type(b"123")
    seat.type(b"45678")
    seat.type(b"9")
    assert seat.read_all() == b"12345"


def test_end_of_the_stream_alone_ends_nothing(seat: Seat) -> None:
    """It says that no frames follow; where the input ends is said by `end_after`."""
    seat.connect()
    seat.type(b"x")
    seat.sink.end_input(NUMBER)
    seat.reactor.settle()
    assert (seat.read(), seat.closes) == (b"x", 0)


# The end on a terminal.


@pytest.mark.parametrize(
    ("typed", "marks"),
    [(b"", 1), (b"line\n", 1), (b"word", 2), (b"line\nword", 2)],
    ids=["nothing", "line", "word", "both"],
)
def test_end_on_a_terminal_is_a_character_and_two_within_a_line(
    seat: Seat, typed: bytes, marks: int
) -> None:
    seat.connect(is_terminal=True)
    if typed:
        seat.type(typed)
    seat.input.end_after(len(typed))
    assert seat.read_to_hangup() == typed + END_OF_FILE * marks
    assert seat.consumed == len(typed)


def test_character_is_the_one_that_the_terminal_has_then(seat: Seat) -> None:
    marks = [b"\x04"]
    seat.input.connect(seat.writing, seat._close, lambda: marks[0])
    marks[0] = b"\x1a"
    seat.input.end_after(0)
    assert seat.read_to_hangup() == b"\x1a"


def test_terminal_without_such_a_character_gets_none(seat: Seat) -> None:
    seat.input.connect(seat.writing, seat._close, lambda: b"")
    seat.type(b"word")
    seat.input.end_after(4)
    assert seat.read_to_hangup() == b"word"


def test_character_that_finds_no_room_waits(seat: Seat) -> None:
    filled = seat.fill()
    seat.connect(is_terminal=True)
    seat.input.end_after(0)
    seat.reactor.settle()
    assert (seat.closes, seat.reactor.watched) == (0, {seat.writing: WRITE})
    assert len(seat.read()) == filled
    assert seat.read_to_hangup() == END_OF_FILE


def test_end_on_a_terminal_is_told_again_when_asked_for(seat: Seat) -> None:
    told: list[bool] = []
    seat.input.on_terminal_end = lambda: told.append(seat.input.has_ended_terminal)
    seat.connect(is_terminal=True)
    seat.type(b"line\n")
    seat.input.mark_end_again()  # it has not ended yet
    seat.input.end_after(5)
    seat.reactor.settle()
    assert told == [True]
    seat.input.mark_end_again()
    seat.input.mark_end_again()
    assert seat.read_to_hangup() == b"line\n" + END_OF_FILE * 3
    seat.input.mark_end_again()  # nor is there anybody to tell after it


# Nobody reads.


def test_program_that_reads_no_more_stops_its_writer(seat: Seat) -> None:
    seat.connect()
    os.close(seat.reading)
    seat.reading = os.open(os.devnull, os.O_RDONLY)
    seat.type(b"to nobody")
    assert seat.is_stopped
    assert seat.closes == 1
    seat.type(b"more")
    with pytest.raises(SessionClosed, match="it takes no more input") as caught:
        seat.input.end_after(9)
    assert caught.value.session == "s"


def test_program_that_stops_reading_while_bytes_wait_stops_its_writer(seat: Seat) -> None:
    seat.fill()
    seat.connect()
    seat.type(b"waits")
    os.close(seat.reading)
    seat.reading = os.open(os.devnull, os.O_RDONLY)
    seat.reactor.settle()
    assert (seat.is_stopped, seat.closes, seat.reactor.watched) == (True, 1, {})


def test_no_input_at_all_refuses_what_comes(seat: Seat) -> None:
    closes: list[int] = []
    seat.type(b"early")
    seat.input.connect(-1, lambda: closes.append(1))
    assert seat.is_stopped
    assert closes == [1]
    seat.type(b"late")
    assert seat.consumed == 0


# Letting go.


def test_close_drops_what_waits_and_tells_the_writer(seat: Seat) -> None:
    filled = seat.fill()
    seat.connect()
    seat.type(b"dropped")
    seat.input.close()
    assert (seat.is_stopped, seat.closes, seat.reactor.watched) == (True, 1, {})
    seat.input.close()
    assert seat.closes == 1
    assert seat.read_all() == bytes(filled)
    seat.type(b"late")
    assert seat.consumed == 0


def test_close_after_the_end_tells_nobody(seat: Seat) -> None:
    seat.connect()
    seat.input.end_after(0)
    seat.input.close()
    assert not seat.is_stopped
    assert seat.closes == 1


def test_program_that_comes_after_the_close_gets_nothing(seat: Seat) -> None:
    seat.type(b"early")
    seat.input.close()
    seat.connect()
    assert seat.has_ended
    assert seat.closes == 1


def test_program_that_takes_anothers_place_gets_what_waited_for_it(seat: Seat) -> None:
    filled = seat.fill()
    seat.connect()
    seat.type(b"first ")
    reading, writing = os.pipe()
    seat.input.connect(writing, lambda: os.close(writing))
    assert seat.closes == 1
    seat.type(b"second")
    assert os.read(reading, 100) == b"first second"
    assert seat.read_all() == bytes(filled)
    seat.input.end_after(12)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_terminal_that_takes_anothers_place_after_the_end_is_told_of_it(seat: Seat) -> None:
    """A new program on a terminal would wait for input for ever."""
    seat.connect(is_terminal=True)
    seat.type(b"line\n")
    seat.input.end_after(5)
    assert seat.read() == b"line\n" + END_OF_FILE
    reading, writing = os.pipe()
    seat.input.connect(writing, lambda: os.close(writing), lambda: END_OF_FILE)
    assert seat.closes == 1
    assert os.read(reading, 100) == END_OF_FILE
    seat.input.close()
    assert os.read(reading, 100) == b""
    os.close(reading)


def test_input_that_was_never_opened_for_its_writer_is_forgotten(seat: Seat) -> None:
    seat.type(b"early")
    seat.input.forget()
    with pytest.raises(KeyError):
        seat.sink.consumed_bytes(NUMBER)
    assert seat.sink.stops() == []
    seat.input.forget()
