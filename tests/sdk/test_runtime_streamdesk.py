"""The streams of a plugin on the wire: frames out, frames in, and nothing once the wire is gone."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from plugin_host_sdk.errors import CallFailed, LocalProtocolError
from plugin_host_sdk.events import (
    CreditReceived,
    DataReceived,
    EndReceived,
    GapReceived,
    NotificationReceived,
    RequestReceived,
    StopReceived,
)
from plugin_host_sdk.handshake import Limits, initialize_params
from plugin_host_sdk.runtime.channel import Channel
from plugin_host_sdk.runtime.streamdesk import StreamDesk
from plugin_host_sdk.runtime.wiring import Wiring
from tests.pair import ANSWER
from tests.served import HostEnd

FRAME, WINDOW = 1024, 4096
LIMITS = Limits(frame_bytes=FRAME, window_bytes=WINDOW)


class Ears:
    """Hears of one stream, either way; `heard` is what, and the desk's lock is free meanwhile."""

    def __init__(self, wiring: Wiring) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self._wiring = wiring

    def credited(self, size: int) -> None:
        self._note("credited", size)

    def stopped(self) -> None:
        self._note("stopped")

    def received(self, offset: int, data: bytes) -> None:
        self._note("received", offset, data)

    def ended(self, total: int, error: Any = None) -> None:
        self._note("ended", total)

    def _note(self, *what: Any) -> None:
        assert not self._wiring.mutex._is_owned()  # type: ignore[attr-defined]
        self.heard.append(what)


class Ends:
    """A host's end of a wire, and a plugin's desk of streams; the test reads for both."""

    def __init__(self, sock: socket.socket, channel: Channel) -> None:
        self.host = HostEnd(sock, LIMITS)
        self.wiring = Wiring(channel)
        self.desk = StreamDesk(self.wiring)
        self._channel = channel

    def make_ready(self) -> None:
        params = initialize_params(plugin="demo", host={"name": "test"}, limits=LIMITS)
        self.host.send(self.host.connection.send_initialize(params))
        (asked,) = self._receive()
        assert isinstance(asked, RequestReceived)
        with self.wiring.mutex:
            self.wiring.answer(asked.msgid, ANSWER | {"limits": LIMITS.to_map()})
        self.wiring.flush()
        self.host.read(5)
        self.host.events.clear()

    def _receive(self) -> list[Any]:
        ready, _, _ = select.select([self._channel.read_fd], [], [], 5)
        assert ready, "the plugin hears nothing"
        with self.wiring.mutex:
            return self.wiring.connection.receive_data(self._channel.read())

    def hear(self) -> None:
        """Let the desk act on what the host has sent."""
        for event in self._receive():
            self.desk.handlers[type(event)](event)
        self.desk.flush()

    @property
    def streams(self) -> Any:
        """The host's."""
        return self.host.connection.streams

    # Streams as a request would open them.

    def open_output(self, credit: int = WINDOW) -> tuple[int, Ears]:
        number, ears = self.streams.reserve(), Ears(self.wiring)
        self.streams.open_receive(number, WINDOW)
        self.desk.open_output(number, credit, ears)
        return number, ears

    def open_input(self, window: int = WINDOW) -> tuple[int, Ears]:
        number, ears = self.streams.reserve(), Ears(self.wiring)
        granted = self.desk.open_input(number, window, ears)
        self.streams.open_send(number, granted)
        return number, ears

    def type(self, number: int, data: bytes) -> None:
        self.host.send(b"".join(self.streams.send_data(number, data)))


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair()
    fd = theirs.detach()
    channel = Channel(fd, fd)
    ends = Ends(ours, channel)
    try:
        ends.make_ready()
        yield ends
    finally:
        ours.close()
        channel.close()


# Output.


def test_output_arrives_in_order_at_its_offsets(ends: Ends) -> None:
    number, _ = ends.open_output()
    ends.desk.send(number, b"one")
    ends.desk.send(number, memoryview(b"-two-")[1:4])
    ends.desk.gap(number, 100)
    ends.desk.send(number, b"three")
    ends.desk.end(number)
    ends.desk.flush()
    ends.host.wait_for(lambda event: isinstance(event, EndReceived) and event.total == 111, "the end")
    assert ends.host.events == [
        DataReceived(number, 0, b"one"),
        DataReceived(number, 3, b"two"),
        GapReceived(number, 6, 100),
        DataReceived(number, 106, b"three"),
    ]


def test_frame_is_as_large_as_the_host_takes(ends: Ends) -> None:
    number, _ = ends.open_output()
    assert ends.desk.frame_bytes == FRAME
    ends.desk.send(number, bytes(FRAME))
    with pytest.raises(LocalProtocolError, match="a frame carries 1 to 1024 bytes"):
        ends.desk.send(number, bytes(FRAME + 1))


def test_output_beyond_credit_is_refused(ends: Ends) -> None:
    number, _ = ends.open_output(credit=10)
    ends.desk.send(number, bytes(8))
    with pytest.raises(LocalProtocolError):
        ends.desk.send(number, bytes(3))


def test_credit_reaches_who_sends(ends: Ends) -> None:
    number, ears = ends.open_output(credit=WINDOW)
    for _ in range(4):
        ends.desk.send(number, bytes(FRAME))
    ends.desk.flush()
    ends.host.wait_for(lambda event: isinstance(event, DataReceived) and event.offset == 3 * FRAME, "all")
    ends.host.send(ends.streams.consume(number, 3 * FRAME))
    ends.hear()
    assert ears.heard == [("credited", 3 * FRAME)]
    for _ in range(3):
        ends.desk.send(number, bytes(FRAME))


def test_output_that_was_stopped_takes_only_its_end(ends: Ends) -> None:
    number, ears = ends.open_output()
    ends.desk.send(number, b"one")
    ends.desk.flush()
    ends.host.send(ends.streams.send_stop(number))
    ends.hear()
    assert ears.heard == [("stopped",)]
    ends.desk.send(number, b"two")
    ends.desk.gap(number, 5)
    ends.desk.end(number)
    ends.desk.flush()
    assert ends.host.expect(EndReceived) == EndReceived(number, 3, None)


def test_output_that_was_stopped_before_it_was_opened_is_stopped(ends: Ends) -> None:
    number, ears = ends.streams.reserve(), Ears(ends.wiring)
    ends.streams.open_receive(number, WINDOW)
    ends.host.send(ends.streams.send_stop(number))
    assert ends._receive() == []  # nobody has it yet
    ends.desk.open_output(number, WINDOW, ears)
    assert ears.heard == [("stopped",)]
    ends.desk.send(number, b"never")
    ends.desk.end(number)
    ends.desk.flush()
    assert ends.host.expect(EndReceived) == EndReceived(number, 0, None)


def test_error_of_an_end_travels(ends: Ends) -> None:
    number, _ = ends.open_output()
    error = {"name": "detached", "message": "the viewer was detached"}
    ends.desk.end(number, error)
    ends.desk.end(number)
    ends.desk.flush()
    assert ends.host.expect(EndReceived) == EndReceived(number, 0, error)
    ends.desk.notify("exec.exited", {"session": "s"})
    ends.desk.flush()
    assert ends.host.expect(NotificationReceived).params == {"session": "s"}
    assert ends.host.events == []


def test_nothing_follows_the_end(ends: Ends) -> None:
    number, _ = ends.open_output()
    ends.desk.end(number)
    ends.desk.send(number, b"late")
    ends.desk.gap(number, 5)
    ends.desk.flush()
    ends.host.expect(EndReceived)
    ends.desk.notify("exec.exited", {})
    ends.desk.flush()
    ends.host.expect(NotificationReceived)
    assert ends.host.events == []


def test_credit_and_stop_that_come_after_the_end_are_nobodys(ends: Ends) -> None:
    number, ears = ends.open_output()
    ends.desk.send(number, bytes(FRAME))
    ends.desk.send(number, bytes(FRAME))
    ends.desk.end(number)  # not yet written
    ends.host.send(ends.streams.send_stop(number))
    ends.wiring.connection.receive_data(ends._channel.read())
    ends.desk.handlers[CreditReceived](CreditReceived(number, 5))
    ends.desk.handlers[StopReceived](StopReceived(number))
    assert ears.heard == []


@pytest.mark.parametrize("way", ["open_output", "open_input"])
def test_number_that_is_or_was_in_use_is_refused(ends: Ends, way: str) -> None:
    used, _ = ends.open_output()
    over, _ = ends.open_output()
    ends.desk.end(over)
    for number in (used, over):
        with pytest.raises(CallFailed, match=f"stream {number} is or was open") as caught:
            getattr(ends.desk, way)(number, WINDOW, Ears(ends.wiring))
        assert caught.value.name == "rpc.invalid_params"


@pytest.mark.parametrize("way", ["open_output", "open_input"])
def test_number_of_this_side_is_refused(ends: Ends, way: str) -> None:
    with pytest.raises(CallFailed, match="stream 7 was never reserved") as caught:
        getattr(ends.desk, way)(7, WINDOW, Ears(ends.wiring))
    assert caught.value.name == "rpc.invalid_params"


# Input.


def test_input_arrives_at_its_offsets_and_ends(ends: Ends) -> None:
    number, ears = ends.open_input()
    ends.type(number, b"ls")
    ends.type(number, b"\n")
    ends.hear()
    ends.host.send(ends.streams.send_end(number))
    ends.hear()
    assert ears.heard == [("received", 0, b"ls"), ("received", 2, b"\n"), ("ended", 3)]


def test_window_is_what_this_side_takes_at_most(ends: Ends) -> None:
    limit = ends.wiring.connection.limits.window_bytes
    assert ends.desk.open_input(2, limit * 4, Ears(ends.wiring)) == limit
    assert ends.desk.open_input(4, 100, Ears(ends.wiring)) == 100


def test_what_was_used_is_given_back_as_credit(ends: Ends) -> None:
    number, _ = ends.open_input(window=100)
    ends.type(number, bytes(100))
    ends.hear()
    ends.desk.consumed(number, 30)
    ends.desk.flush()
    ends.desk.consumed(number, 30)
    ends.desk.flush()
    assert ends.host.expect(CreditReceived) == CreditReceived(number, 60)
    ends.type(number, bytes(60))
    ends.hear()


def test_input_that_was_given_up_is_heard_no_more(ends: Ends) -> None:
    number, ears = ends.open_input()
    ends.type(number, b"one")
    ends.hear()
    ends.desk.stop(number)
    ends.desk.stop(number)
    ends.desk.flush()
    ends.type(number, b"two")
    ends.hear()
    assert ends.host.expect(StopReceived).stream == number
    ends.host.send(ends.streams.send_end(number))
    ends.hear()
    ends.desk.consumed(number, 3)
    ends.desk.stop(number)
    ends.desk.flush()
    assert ears.heard == [("received", 0, b"one")]


def test_input_of_a_request_that_failed_is_dropped(ends: Ends) -> None:
    number, ears = ends.open_input()
    ends.desk.forget(number)
    ends.type(number, b"typed before the answer came")
    ends.hear()
    assert ears.heard == []
    assert ends.wiring.connection.streams.dropped == 1
    with pytest.raises(CallFailed):
        ends.desk.open_input(number, WINDOW, ears)


# The wire.


def test_control_overtakes_output(ends: Ends) -> None:
    number, _ = ends.open_output()
    for _ in range(4):
        ends.desk.send(number, bytes(FRAME))
    ends.desk.notify("command.changed", {"commands": []})
    ends.desk.flush()
    ends.host.wait_for(lambda event: isinstance(event, DataReceived) and event.offset == 3 * FRAME, "all")
    assert isinstance(ends.host.events[0], NotificationReceived)


def test_streams_take_turns(ends: Ends) -> None:
    one, _ = ends.open_output()
    two, _ = ends.open_output()
    for number in (one, two):
        for _ in range(3):
            ends.desk.send(number, bytes(FRAME))
    ends.desk.flush()
    while sum(isinstance(event, DataReceived) for event in ends.host.events) < 6:
        assert ends.host.read(5)
    assert [getattr(event, "stream", 0) for event in ends.host.events] == [one, two] * 3


def test_once_the_wire_is_gone_nothing_is_sent_and_nobody_fails(ends: Ends) -> None:
    out, _ = ends.open_output()
    into, ears = ends.open_input()
    ends.type(into, bytes(FRAME))
    ends.hear()
    ends.host.sock.close()
    ends.desk.send(out, b"to nobody")
    ends.desk.flush()
    assert ends.wiring.is_broken
    ends.desk.send(out, b"to nobody")
    ends.desk.gap(out, 5)
    ends.desk.end(out)
    ends.desk.stop(into)
    ends.desk.consumed(into, FRAME)
    ends.desk.forget(into)
    ends.desk.notify("exec.exited", {})
    ends.desk.flush()
    assert not ends.wiring.outbox
    assert len(ears.heard) == 1


def test_flood_waits_for_the_wire_and_is_not_stored(ends: Ends) -> None:
    """Who sends within much credit is slowed when more than a megabyte waits to be written."""
    numbers = [ends.streams.reserve() for _ in range(3)]
    sent: list[int] = []
    for number in numbers:
        ends.streams.open_receive(number, WINDOW)
        ends.desk.open_output(number, 8 << 20, Ears(ends.wiring))

    def flood(number: int) -> None:
        for _ in range(4096):
            ends.desk.send(number, bytes(FRAME))
            sent.append(FRAME)
            ends.desk.flush()

    threads = [threading.Thread(target=flood, args=[number]) for number in numbers]
    for thread in threads:
        thread.start()
    seen = -1
    while seen != len(sent):  # until nobody gets on any more
        seen = len(sent)
        select.select([], [], [], 0.1)
    assert sum(sent) < 4 << 20
    assert ends.wiring.outbox.bulk_bytes <= (1 << 20) + 8 * FRAME
    ends.host.sock.close()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
