"""What one viewer is sent: no more than it takes, every byte or a word for it, and one end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.exec.viewer import Viewer, ViewerStream
from plugin_host_sdk.testing import RecordingSink, StreamEnd

NUMBER = 6
FRAME = 16


class Seat:
    """A stream to one viewer, and the sink it goes to."""

    def __init__(self, credit: int = 100, limit: int | None = None, frame_bytes: int = FRAME) -> None:
        self.sink = RecordingSink(frame_bytes)
        self.changes: list[tuple[ViewerStream, int | None]] = []
        self.stream = ViewerStream(self.sink, NUMBER, credit, limit, self.note)
        self.sink.open_output(NUMBER, credit, self.stream)

    def note(self, stream: ViewerStream, credit: int | None) -> None:
        self.changes.append((stream, credit))

    def credit(self, size: int) -> None:
        """The viewer takes more, and the session has heard of it."""
        self.sink.credit(NUMBER, size)
        stream, credit = self.changes.pop()
        assert (stream, credit) == (self.stream, size)
        stream.add_credit(size)

    @property
    def sent(self) -> bytes:
        assert self.sink.faults == []
        return self.sink.output(NUMBER)

    @property
    def end(self) -> StreamEnd | None:
        return self.sink.end_of(NUMBER)

    @property
    def gaps(self) -> list[tuple[int, int]]:
        return self.sink.gaps(NUMBER)


def content(start: int, size: int) -> bytes:
    return bytes((at * 7 + at // 251) % 256 for at in range(start, start + size))


def test_output_within_credit_is_sent_at_once() -> None:
    seat = Seat()
    seat.stream.feed(b"hello")
    assert seat.sent == b"hello"
    assert not seat.stream.backlog
    assert repr(seat.stream) == "<ViewerStream 6 backlog=0 credit=95>"


def test_output_larger_than_a_frame_goes_in_frames() -> None:
    seat = Seat()
    seat.stream.feed(content(0, 40))
    assert seat.sink.frames(NUMBER) == [16, 16, 8]
    assert seat.sent == content(0, 40)


def test_credit_is_used_to_its_last_byte() -> None:
    seat = Seat(credit=10)
    seat.stream.feed(content(0, 12))
    assert seat.sent == content(0, 10)
    assert seat.stream.backlog.size == 2


def test_output_behind_a_backlog_waits_for_its_turn() -> None:
    seat = Seat(credit=4)
    seat.stream.feed(b"12345")
    seat.stream.feed(b"6")
    assert seat.sent == b"1234"
    seat.credit(1)
    assert seat.sent == b"12345"
    seat.stream.feed(b"7")
    seat.credit(5)
    assert seat.sent == b"1234567"


def test_grant_and_stop_are_told_with_the_stream() -> None:
    seat = Seat()
    seat.sink.credit(NUMBER, 3)
    seat.sink.stop_output(NUMBER)
    assert seat.changes == [(seat.stream, 3), (seat.stream, None)]


def test_gap_goes_with_the_bytes_behind_it() -> None:
    seat = Seat(credit=0)
    seat.stream.backlog.push_gap(7)
    seat.stream.feed(b"x")
    assert (seat.gaps, seat.sent) == ([], b"")
    seat.credit(1)
    assert (seat.gaps, seat.sent) == ([(0, 7)], b"x")


def test_gap_with_nothing_behind_it_needs_no_credit() -> None:
    seat = Seat(credit=0)
    seat.stream.backlog.push_gap(7)
    seat.stream.finish()
    seat.stream.advance()
    assert (seat.gaps, seat.end) == ([(0, 7)], StreamEnd(7, None))


def test_viewer_that_takes_nothing_is_sent_nothing_however_much_it_misses() -> None:
    """Neither gaps: a flood would be one of them."""
    seat = Seat(credit=2, limit=16)
    for _ in range(1000):
        seat.stream.feed(content(0, 8))
    assert (len(seat.sent), seat.gaps) == (2, [])
    seat.credit(100)
    assert (len(seat.sent), seat.gaps) == (18, [(2, 8000 - 18)])


def test_end_waits_for_the_backlog() -> None:
    seat = Seat(credit=2)
    seat.stream.feed(b"123")
    seat.stream.finish()
    assert (seat.end, seat.stream.is_over) == (None, False)
    seat.credit(1)
    assert seat.sent == b"123"
    assert (seat.end, seat.stream.is_over) == (StreamEnd(3, None), True)


def test_end_without_a_backlog_is_sent_at_once() -> None:
    seat = Seat()
    seat.stream.finish()
    assert seat.end == StreamEnd(0, None)


def test_end_that_is_asked_for_drops_what_waits() -> None:
    seat = Seat(credit=2)
    seat.stream.feed(b"123")
    error = {"name": "detached", "message": "the viewer was detached"}
    seat.stream.end(error)
    assert seat.sent == b"12"
    assert seat.end == StreamEnd(2, error)
    assert not seat.stream.backlog


def test_nothing_follows_the_end() -> None:
    seat = Seat(credit=5)
    ends: list[Any] = []
    end = seat.sink.end

    def record(stream: int, error: dict[str, Any] | None = None) -> int:
        ends.append(error)
        return end(stream, error)

    seat.sink.end = record  # type: ignore[method-assign]
    seat.stream.finish()
    seat.stream.feed(b"more")
    seat.stream.finish()
    seat.stream.end({"name": "late"})
    assert seat.sent == b""
    assert not seat.stream.backlog
    assert ends == [None]


def test_lossy_viewer_that_falls_behind_gets_a_gap_for_the_oldest() -> None:
    seat = Seat(credit=2, limit=4)
    seat.stream.feed(content(0, 3))
    seat.stream.feed(content(3, 5))
    assert seat.stream.backlog.size == 4
    seat.credit(100)
    assert seat.sent == content(0, 2) + content(4, 4)
    assert seat.gaps == [(2, 2)]


steps = st.lists(
    st.tuples(st.just("feed"), st.integers(1, 60)) | st.tuples(st.just("credit"), st.integers(1, 60)),
    max_size=40,
)


@given(st.integers(0, 50), steps, st.booleans())
def test_lossless_viewer_gets_every_byte_as_far_as_it_takes_them(
    credit: int, plan: list[tuple[str, int]], is_finished: bool
) -> None:
    seat, fed, granted = Seat(credit), 0, credit
    for step, size in plan:
        if step == "feed":
            seat.stream.feed(content(fed, size))
            fed += size
        else:
            seat.credit(size)
            granted += size
        assert seat.sent == content(0, min(fed, granted))
        assert seat.stream.backlog.size == max(0, fed - granted)
    if is_finished:
        seat.stream.finish()
    assert seat.stream.is_over == (is_finished and fed <= granted)
    if not seat.stream.is_over:
        seat.credit(10_000)
    assert seat.sent == content(0, fed)
    assert seat.gaps == []
    assert seat.end == (StreamEnd(fed, None) if is_finished else None)


@given(st.integers(0, 50), st.integers(0, 64), steps)
def test_lossy_viewer_gets_bytes_and_gaps_that_account_for_all(
    credit: int, limit: int, plan: list[tuple[str, int]]
) -> None:
    seat, fed = Seat(credit, limit), 0
    for step, size in plan:
        if step == "feed":
            seat.stream.feed(content(fed, size))
            fed += size
        else:
            seat.credit(size)
        assert seat.stream.backlog.size <= limit
    seat.stream.finish()
    if not seat.stream.is_over:
        seat.credit(10_000)
    assert seat.end == StreamEnd(fed, None)
    whole, sent = bytearray(), seat.sent
    for offset, size in seat.gaps:
        take = offset - len(whole)
        whole += sent[:take]
        sent = sent[take:]
        whole += content(len(whole), size)
    assert whole + sent == content(0, fed)


# Viewers.


def viewer(*, is_lossless: bool = True, **seats: Seat) -> Viewer:
    streams = {name: seat.stream for name, seat in seats.items()}
    return Viewer(1, streams, is_lossless=is_lossless, is_read_only=False)


def test_viewer_is_over_when_all_its_streams_are() -> None:
    stdout, stderr = Seat(), Seat()
    one = viewer(stdout=stdout, stderr=stderr)
    stdout.stream.finish()
    assert not one.is_over
    stderr.stream.finish()
    assert one.is_over


@pytest.mark.parametrize("is_lossless", [True, False])
def test_viewer_blocks_what_it_waits_for_and_only_if_it_may_lose_nothing(is_lossless: bool) -> None:
    stdout, stderr = Seat(credit=0), Seat()
    one = viewer(is_lossless=is_lossless, stdout=stdout, stderr=stderr)
    assert not one.blocks("stdout")
    stdout.stream.feed(b"x")
    stderr.stream.feed(b"x")
    assert one.blocks("stdout") is is_lossless
    assert not one.blocks("stderr")
    assert not viewer(stdout=stdout).blocks("stderr")
    stdout.credit(1)
    assert not one.blocks("stdout")
