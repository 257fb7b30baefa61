"""The streams of one action: outputs within the reader's credit, and the data that came with it."""

from __future__ import annotations

import threading

import pytest

from plugin_host_sdk.action.inflow import Inflow
from plugin_host_sdk.action.outflow import Outflow
from plugin_host_sdk.action.tail import Tail
from plugin_host_sdk.action.wake import Wake
from plugin_host_sdk.cancellation import Cancellation
from plugin_host_sdk.errors import ActionFailed, CallCancelled
from plugin_host_sdk.later import Later
from plugin_host_sdk.testing import RecordingSink, StreamEnd
from tests.wait import WaitUntil


class Flow:
    """An output on stream 2, and how often it said that it has ended."""

    def __init__(self, credit: int) -> None:
        self.sink = RecordingSink()
        self.out = Outflow(self.sink, 2, credit)
        self.sink.open_output(2, credit, self.out)
        self.ended = 0

    def finish(self) -> None:
        self.out.finish(self._finished)

    def _finished(self) -> None:
        self.ended += 1


# output


def test_what_the_credit_allows_goes_at_once() -> None:
    flow = Flow(10)
    assert flow.out.write(b"hello") is None
    assert flow.sink.output(2) == b"hello"


def test_a_writer_waits_for_its_own_bytes_and_for_those_before() -> None:
    flow = Flow(3)
    first, second = flow.out.write(b"hello"), flow.out.write(b"!")
    assert first is not None
    assert second is not None
    assert flow.sink.output(2) == b"hel"
    flow.sink.credit(2, 2)
    assert (first.is_settled, second.is_settled) == (True, False)
    flow.sink.credit(2, 1)
    assert second.is_settled
    assert flow.sink.output(2) == b"hello!"
    assert flow.sink.faults == []


def test_frames_are_no_larger_than_the_reader_takes() -> None:
    flow = Flow(2**20)
    flow.out.write(bytes(200_000))
    assert flow.sink.frames(2) == [65536, 65536, 65536, 3392]


def test_the_end_comes_behind_everything_and_once() -> None:
    flow = Flow(2)
    flow.out.write(b"hello")
    flow.finish()
    assert (flow.sink.end_of(2), flow.ended) == (None, 0)
    flow.sink.credit(2, 10)
    assert flow.sink.end_of(2) == StreamEnd(5, None)
    assert (flow.ended, flow.out.total) == (1, 5)
    assert flow.out.write(b"late") is None
    flow.out.give_up()
    assert (flow.sink.output(2), flow.ended) == (b"hello", 1)


def test_what_nobody_reads_is_given_up_as_a_gap() -> None:
    flow = Flow(2)
    later = flow.out.write(b"hello")
    flow.out.give_up()
    assert later is not None
    assert later.is_settled
    assert flow.out.write(b"more") is None
    flow.finish()
    assert flow.sink.gaps(2) == [(2, 3), (5, 4)]
    assert (flow.out.total, flow.ended) == (9, 1)


def test_a_reader_that_stops_lets_the_writer_go_on() -> None:
    flow = Flow(2)
    later = flow.out.write(b"hello")
    flow.sink.stop_output(2)
    assert later is not None
    assert later.is_settled
    assert flow.out.write(b"more") is None
    flow.finish()
    assert (flow.sink.output(2), flow.out.total, flow.ended) == (b"he", 2, 1)


def test_a_buffer_may_be_used_again_while_its_bytes_wait() -> None:
    flow = Flow(1)
    buffer = bytearray(b"abc")
    flow.out.write(buffer)
    buffer[:] = b"xyz"
    flow.sink.credit(2, 2)
    assert flow.sink.output(2) == b"abc"


# input


class Data:
    """An input on stream 4 with a window of 100 bytes."""

    def __init__(self) -> None:
        self.sink = RecordingSink()
        self.cancelled = Cancellation()
        self.inflow = Inflow(self.sink, 4, self.cancelled)
        self.sink.open_input(4, 100, self.inflow)


def test_data_is_iterated_to_its_end_and_given_back_as_credit() -> None:
    data = Data()
    data.sink.type(4, b"one")
    data.sink.type(4, b"two")
    assert data.sink.consumed_bytes(4) == 0
    data.sink.end_input(4)
    assert list(data.inflow) == [b"one", b"two"]
    assert data.sink.consumed_bytes(4) == 6
    data.inflow.close()
    assert data.sink.stops() == []


def test_who_waits_for_data_is_roused_by_it() -> None:
    data = Data()
    found: list[bytes] = []
    taker = threading.Thread(target=lambda: found.extend(data.inflow))
    taker.start()
    data.sink.type(4, b"x" * 250)  # more than the window: it has to be taken
    data.sink.end_input(4)
    taker.join(5)
    assert b"".join(found) == b"x" * 250


def test_data_that_ends_early_is_an_error_behind_its_last_byte() -> None:
    data = Data()
    data.sink.type(4, b"half")
    data.sink.end_input(4, {"message": "the disk broke"})
    assert next(data.inflow) == b"half"
    with pytest.raises(ActionFailed, match="ended after 4 bytes: the disk broke"):
        next(data.inflow)


def test_a_cancelled_action_gets_no_more_data(wait_until: WaitUntil) -> None:
    data = Data()
    raised: list[BaseException] = []

    def take() -> None:
        try:
            next(data.inflow)
        except CallCancelled as error:
            raised.append(error)

    taker = threading.Thread(target=take)
    taker.start()
    data.cancelled.set("enough")
    taker.join(5)
    assert "enough" in str(raised[0])


def test_data_that_is_not_wanted_is_stopped() -> None:
    data = Data()
    data.sink.type(4, b"one")
    data.inflow.close()
    assert data.sink.stops() == [4]
    data.inflow.received(3, b"late")
    assert isinstance(data.inflow._take(), Later) is False


# what a result keeps


def test_the_newest_bytes_are_kept_and_all_are_counted() -> None:
    tail = Tail(4)
    for piece in (b"ab", b"cd", b"e", b"fghij", b"k"):
        tail.add(piece)
    assert (tail.bytes(), tail.total, tail.is_cut) == (b"hijk", 11, True)


def test_what_fits_is_kept_whole() -> None:
    tail = Tail(4)
    tail.add(b"abcd")
    assert (tail.bytes(), tail.is_cut) == (b"abcd", False)
    nothing = Tail(0)
    nothing.add(b"abc")
    assert (nothing.bytes(), nothing.total, nothing.is_cut) == (b"", 3, True)


def test_keeping_takes_no_more_memory_however_much_comes() -> None:
    tail = Tail(1000)
    for _ in range(1000):
        tail.add(bytes(700))
        assert len(tail._kept) <= 2000
    assert tail.total == 700_000


def test_rousing_is_harmless_at_any_time() -> None:
    wake = Wake()
    for _ in range(100_000 // 64):
        wake.rouse()
    wake.clear()
    wake.clear()
    wake.close()
    wake.rouse()
