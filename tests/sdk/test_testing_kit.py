"""The test kit that is shipped: a clock and a sink that behave as what they stand for."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from plugin_host_sdk import testing
from plugin_host_sdk.errors import CallFailed, LocalProtocolError
from plugin_host_sdk.testing import FakeClock, FakeTerminalFactory, RecordingSink, StreamEnd
from tests.later import later

if TYPE_CHECKING:
    from plugin_host_sdk.exec.clock import Clock
    from plugin_host_sdk.exec.terminal import Terminal, TerminalFactory
    from plugin_host_sdk.sink import Sink


# The whole.


def test_public_names_are_these() -> None:
    assert testing.__all__ == [
        "ActionBench",
        "ActionRun",
        "FakeClock",
        "FakeTerminal",
        "FakeTerminalFactory",
        "GivenTask",
        "RecordingSink",
        "StreamEnd",
        "TaskHost",
        "TaskOutcome",
    ]


def test_plugins_do_not_load_the_kit() -> None:
    code = "import plugin_host_sdk, sys; print([name for name in sys.modules if 'testing' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_parts_are_what_a_manager_asks_for() -> None:
    with FakeTerminalFactory() as terminals:
        factory: TerminalFactory = terminals
        terminal: Terminal = terminals.open(24, 80)
        clock: Clock = FakeClock()
        sink: Sink = RecordingSink()
        assert factory is terminals
        assert (clock.monotonic(), terminal.pid, sink.frame_bytes) == (1000.0, None, 65536)


# The clock.


def test_time_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(monotonic=5.0, time=100.0)
    assert [(clock.monotonic(), clock.time()) for _ in range(2)] == [(5.0, 100.0)] * 2
    clock.advance(2.5)
    clock.advance(0)
    assert (clock.monotonic(), clock.time()) == (7.5, 102.5)
    assert repr(clock) == "FakeClock(monotonic=7.5, time=102.5)"


def test_time_does_not_run_backwards() -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="time passes by 0 seconds or more, not -1"):
        clock.advance(-1)
    assert clock.monotonic() == 1000.0


def test_subscribers_are_woken_when_the_time_has_moved() -> None:
    clock = FakeClock()
    seen: list[float] = []
    clock.subscribe(lambda: seen.append(clock.monotonic()))
    clock.subscribe(lambda: seen.append(clock.time()))
    clock.advance(1)
    assert seen == [1001.0, 1_700_000_001.0]


def test_no_second_is_lost_between_threads() -> None:
    clock = FakeClock()

    def advance() -> None:
        for _ in range(2000):
            clock.advance(1)

    threads = [threading.Thread(target=advance) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 9000.0


# The sink.


class Listener:
    """Hears of streams of both directions."""

    def __init__(self) -> None:
        self.credits: list[int] = []
        self.stops = 0
        self.inputs: list[tuple[int, bytes]] = []
        self.totals: list[int] = []

    def credited(self, size: int) -> None:
        self.credits.append(size)

    def stopped(self) -> None:
        self.stops += 1

    def received(self, offset: int, data: bytes) -> None:
        self.inputs.append((offset, data))

    def ended(self, total: int, error: Any = None) -> None:
        self.totals.append(total)


def test_output_is_recorded_with_its_frames_gaps_and_end() -> None:
    sink = RecordingSink()
    sink.open_output(2, 100, Listener())
    sink.send(2, b"one")
    sink.gap(2, 10)
    sink.send(2, memoryview(b"three"))
    assert sink.end_of(2) is None
    sink.end(2)
    assert sink.output(2) == b"onethree"
    assert sink.frames(2) == [3, 5]
    assert sink.gaps(2) == [(3, 10)]
    assert sink.end_of(2) == StreamEnd(18, None)
    assert sink.credit_left(2) == 92
    assert sink.faults == []


def test_streams_are_recorded_apart() -> None:
    sink = RecordingSink()
    for stream in (2, 4):
        sink.open_output(stream, 100, Listener())
    sink.send(2, b"two")
    sink.send(4, b"four")
    sink.end(4, {"name": "gone", "message": "gone"})
    assert (sink.output(2), sink.output(4)) == (b"two", b"four")
    assert sink.end_of(2) is None
    assert sink.end_of(4) == StreamEnd(4, {"name": "gone", "message": "gone"})


def test_spending_more_than_the_credit_is_a_fault() -> None:
    sink = RecordingSink()
    sink.open_output(2, 5, Listener())
    sink.send(2, b"12345")
    with pytest.raises(LocalProtocolError, match="stream 2: 1 bytes to send and credit for 0"):
        sink.send(2, b"6")
    assert sink.faults == ["stream 2: 1 bytes to send and credit for 0"]
    assert sink.output(2) == b"12345"


@pytest.mark.parametrize("size", [0, 11])
def test_frame_of_a_wrong_size_is_a_fault(size: int) -> None:
    sink = RecordingSink(frame_bytes=10)
    assert sink.frame_bytes == 10
    sink.open_output(2, 100, Listener())
    with pytest.raises(LocalProtocolError, match=f"a frame carries 1 to 10 bytes, not {size}"):
        sink.send(2, bytes(size))
    assert len(sink.faults) == 1


def test_gap_of_nothing_is_a_fault() -> None:
    sink = RecordingSink()
    sink.open_output(2, 100, Listener())
    with pytest.raises(LocalProtocolError, match="a gap of 0 bytes on stream 2"):
        sink.gap(2, 0)


def test_number_that_is_or_was_in_use_is_refused() -> None:
    sink = RecordingSink()
    sink.open_output(2, 100, Listener())
    sink.open_input(4, 100, Listener())
    sink.end(2)
    for stream in (2, 4):
        with pytest.raises(CallFailed) as caught:
            sink.open_output(stream, 100, Listener())
        assert caught.value.name == "rpc.invalid_params"
        with pytest.raises(CallFailed):
            sink.open_input(stream, 100, Listener())


def test_what_is_sent_behind_the_end_vanishes() -> None:
    sink = RecordingSink()
    sink.open_output(2, 100, Listener())
    sink.end(2)
    sink.send(2, b"late")
    sink.gap(2, 4)
    sink.end(2, {"name": "late", "message": ""})
    assert (sink.output(2), sink.gaps(2), sink.end_of(2)) == (b"", [], StreamEnd(0, None))


def test_credit_reaches_the_listener_and_can_be_spent() -> None:
    sink, listener = RecordingSink(), Listener()
    sink.open_output(2, 1, listener)
    sink.credit(2, 4)
    sink.send(2, b"12345")
    assert listener.credits == [4]
    assert sink.credit_left(2) == 0
    sink.end(2)
    sink.credit(2, 4)
    assert listener.credits == [4]


def test_stopped_output_takes_only_its_end() -> None:
    sink, listener = RecordingSink(), Listener()
    sink.open_output(2, 100, listener)
    sink.send(2, b"seen")
    sink.stop_output(2)
    sink.stop_output(2)
    sink.credit(2, 1)
    sink.send(2, b"unseen")
    sink.end(2)
    assert (listener.stops, listener.credits) == (1, [])
    assert sink.output(2) == b"seen"
    assert sink.end_of(2) == StreamEnd(4, None)


def test_typing_reaches_the_listener_at_its_offset() -> None:
    sink, listener = RecordingSink(frame_bytes=4), Listener()
    assert sink.open_input(2, 100, listener) == 100
    sink.type(2, b"abcdef")
    sink.type(2, b"gh")
    sink.end_input(2)
    assert listener.inputs == [(0, b"abcd"), (4, b"ef"), (6, b"gh")]
    assert listener.totals == [8]
    with pytest.raises(ValueError, match="input 2 has ended"):
        sink.type(2, b"i")
    with pytest.raises(ValueError, match="input 2 has ended"):
        sink.end_input(2)


def test_typing_waits_for_room_in_the_window() -> None:
    sink, listener = RecordingSink(), Listener()
    sink.open_input(2, 4, listener)
    with pytest.raises(TimeoutError, match=r"2 of 6 bytes found no room in 0.01 s"):
        sink.type(2, b"abcdef", timeout=0.01)
    later(lambda: sink.consumed(2, 4))
    sink.type(2, b"gh")
    assert listener.inputs == [(0, b"abcd"), (4, b"gh")]
    assert sink.consumed_bytes(2) == 4


def test_using_what_was_never_typed_is_a_fault() -> None:
    sink = RecordingSink()
    sink.open_input(2, 10, Listener())
    sink.type(2, b"abc")
    with pytest.raises(LocalProtocolError, match="bytes consumed that never arrived"):
        sink.consumed(2, 4)
    assert len(sink.faults) == 1


def test_input_can_be_used_behind_its_end() -> None:
    sink = RecordingSink()
    sink.open_input(2, 10, Listener())
    sink.type(2, b"abc")
    sink.end_input(2)
    sink.consumed(2, 3)
    assert sink.consumed_bytes(2) == 3


def test_typing_into_a_stopped_input_does_nothing() -> None:
    sink, listener = RecordingSink(), Listener()
    sink.open_input(2, 4, listener)
    assert sink.stops() == []
    sink.type(2, b"abcd")
    later(lambda: sink.stop(2))
    sink.type(2, b"ef")  # waits for room until then
    sink.type(2, b"more")
    sink.end_input(2)
    assert sink.stops() == [2]
    assert listener.inputs == [(0, b"abcd")]
    assert listener.totals == []


def test_output_is_waited_for() -> None:
    sink = RecordingSink()
    sink.open_output(2, 1000, Listener())
    sink.send(2, b"$ hel")
    later(lambda: sink.send(2, b"lo world"))
    assert sink.wait_for_output(b"hello", stream=2) == b"$ hello world"
    later(lambda: sink.open_output(4, 1000, Listener()), lambda: sink.send(4, b"elsewhere"))
    assert sink.wait_for_output(b"where") == b"elsewhere"
    with pytest.raises(TimeoutError, match=r"no output b'where' in 0.01 s; .*hello world"):
        sink.wait_for_output(b"where", stream=2, timeout=0.01)


def test_amount_of_output_is_waited_for() -> None:
    sink = RecordingSink()
    later(
        lambda: sink.open_output(2, 1000, Listener()),
        lambda: sink.send(2, bytes(600)),
        lambda: sink.gap(2, 400),
    )
    sink.wait_for_offset(2, 1000)
    assert sink.output(2) == bytes(600)
    with pytest.raises(TimeoutError, match="no byte 1001 of stream 2"):
        sink.wait_for_offset(2, 1001, timeout=0.01)


def test_end_is_waited_for() -> None:
    sink = RecordingSink()
    sink.open_output(2, 1000, Listener())
    with pytest.raises(TimeoutError, match="no end of stream 2"):
        sink.wait_for_end(2, timeout=0.01)
    later(lambda: sink.send(2, b"last"), lambda: sink.end(2))
    assert sink.wait_for_end(2) == StreamEnd(4, None)


def test_stop_is_waited_for() -> None:
    sink = RecordingSink()
    sink.open_input(2, 1000, Listener())
    with pytest.raises(TimeoutError, match="no stop of stream 2"):
        sink.wait_for_stop(2, timeout=0.01)
    later(lambda: sink.stop(2))
    sink.wait_for_stop(2)


def test_exit_of_a_session_is_waited_for() -> None:
    sink = RecordingSink()
    one = {"session": "one", "exit": {"code": 0}, "totals": {"stdout": 3}}
    other = {"session": "other", "exit": {"code": 1}, "totals": {"stdout": 0}}
    sink.notify("exec.exited", other)
    with pytest.raises(TimeoutError, match=r"no notification exec\.exited"):
        sink.wait_for_exit("one", timeout=0.01)
    later(lambda: sink.notify("exec.exited", one))
    assert sink.wait_for_exit("one") is one
    assert sink.wait_for_exit("other") is other
    assert sink.notifications == [("exec.exited", other), ("exec.exited", one)]


def test_any_notification_can_be_waited_for() -> None:
    sink = RecordingSink()
    sink.notify("log", {"message": "first"})
    sink.notify("log", {"message": "second"})
    assert sink.wait_for_notification("log") == {"message": "first"}
    assert sink.wait_for_notification("log", lambda params: params["message"] == "second")
    with pytest.raises(TimeoutError, match="no notification progress"):
        sink.wait_for_notification("progress", timeout=0.01)


def test_nothing_comes_through_once_the_wire_is_gone() -> None:
    sink = RecordingSink()
    sink.open_output(2, 100, Listener())
    sink.open_input(4, 100, Listener())
    sink.type(4, b"abc")
    sink.disconnect()
    sink.send(2, b"x")
    sink.gap(2, 1)
    sink.end(2)
    sink.stop(4)
    sink.consumed(4, 3)
    sink.notify("exec.exited", {})
    assert (sink.output(2), sink.gaps(2), sink.end_of(2), sink.stops()) == (b"", [], None, [])
    assert sink.consumed_bytes(4) == 0
    assert sink.notifications == []


def test_flushes_are_counted() -> None:
    sink = RecordingSink()
    sink.flush()
    sink.flush()
    assert sink.flushes == 2


def test_many_threads_may_send() -> None:
    sink = RecordingSink()
    sink.open_output(2, 100_000, Listener())

    def send() -> None:
        for _ in range(1000):
            sink.send(2, b"x")

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    sink.wait_for_offset(2, 4000)
    for thread in threads:
        thread.join()
    assert sink.output(2) == b"x" * 4000
