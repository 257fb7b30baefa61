"""The ring of a session: exactly the newest bytes of both streams, at their offsets, at little cost."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from itertools import compress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.exec.buffer import OutputBuffer
from plugin_host_sdk.protocol import REPLAY_BYTES
from tests.effort import by_effort

pytestmark = pytest.mark.edges

MIB = 1024 * 1024
CHUNK = bytes(range(256)) * 256
STREAMS = ["stdout", "stderr"]


def kept(buffer: OutputBuffer, stream: str, offset: int | None = None) -> bytes:
    return b"".join(buffer.snapshot(stream, offset)[1])


def memory_of(make: Callable[[], object]) -> int:
    """The most that was held while something was made."""
    tracemalloc.start()
    try:
        make()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def best(run: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def test_what_is_appended_is_kept_in_order() -> None:
    buffer = OutputBuffer(100)
    buffer.append("stdout", b"hello ")
    buffer.append("stdout", b"world")
    assert buffer.snapshot("stdout") == (0, [b"hello world"])
    assert len(buffer) == 11


def test_capacity_is_a_million_unless_said_otherwise() -> None:
    assert OutputBuffer().capacity == REPLAY_BYTES == 1_000_000


def test_oldest_bytes_make_room_for_the_newest() -> None:
    buffer = OutputBuffer(10)
    buffer.append("stdout", b"12345")
    buffer.append("stdout", b"67890")
    buffer.append("stdout", b"abc")
    assert kept(buffer, "stdout") == b"4567890abc"
    assert len(buffer) == 10
    assert (buffer.start_offset("stdout"), buffer.end_offset("stdout")) == (3, 13)


@pytest.mark.parametrize("size", [11, 5000, 600 * 1024])
def test_chunk_over_the_capacity_keeps_its_tail(size: int) -> None:
    buffer = OutputBuffer(10)
    buffer.append("stderr", b"before")
    buffer.append("stdout", b"before")
    data = (CHUNK * (size // len(CHUNK) + 1))[:size]
    buffer.append("stdout", data)
    assert kept(buffer, "stdout") == data[-10:]
    assert len(buffer) == 10
    assert (buffer.start_offset("stdout"), buffer.end_offset("stdout")) == (6 + size - 10, 6 + size)
    assert (buffer.start_offset("stderr"), buffer.end_offset("stderr")) == (6, 6)


@pytest.mark.parametrize("capacity", [0, -1, -1_000_000])
def test_without_capacity_nothing_is_kept_and_offsets_are_counted(capacity: int) -> None:
    buffer = OutputBuffer(capacity)
    buffer.append("stdout", b"12345")
    buffer.append("stderr", CHUNK)
    buffer.append("stdout", b"6")
    assert len(buffer) == buffer.capacity == 0
    assert buffer.snapshot("stdout") == (6, [])
    assert buffer.snapshot("stderr", 3) == (len(CHUNK), [])


def test_appending_nothing_changes_nothing() -> None:
    buffer = OutputBuffer(4)
    buffer.append("stdout", b"1234")
    buffer.append("stderr", b"")
    assert kept(buffer, "stdout") == b"1234"


@pytest.mark.parametrize("size", [1, 1000, 4096])
def test_snapshot_does_not_change_when_more_is_appended(size: int) -> None:
    buffer = OutputBuffer(4096)
    first = CHUNK[:size]
    buffer.append("stdout", first)
    _, pieces = buffer.snapshot("stdout")
    for _ in range(10):
        buffer.append("stdout", b"x" * 1000)
        buffer.append("stdout", b"y")
    assert b"".join(pieces) == first
    pieces.clear()
    assert len(buffer) == len(kept(buffer, "stdout")) == 4096


def test_pieces_cannot_be_written_to() -> None:
    buffer = OutputBuffer(5000)
    buffer.append("stdout", CHUNK[:3000])
    buffer.append("stdout", CHUNK[:3000])
    buffer.append("stdout", b"end")
    pieces = buffer.snapshot("stdout")[1]
    assert len(pieces) == 3
    assert all(memoryview(piece).readonly for piece in pieces)


def test_streams_make_room_for_each_other_in_the_order_of_arrival() -> None:
    buffer = OutputBuffer(10)
    buffer.append("stdout", b"aaaa")
    buffer.append("stderr", b"bbb")
    buffer.append("stdout", b"ccc")
    buffer.append("stderr", b"dddd")  # takes the place of the four a
    assert (kept(buffer, "stdout"), kept(buffer, "stderr")) == (b"ccc", b"bbbdddd")
    assert (buffer.start_offset("stdout"), buffer.start_offset("stderr")) == (4, 0)
    buffer.append("stdout", b"e")  # of a b
    assert (kept(buffer, "stdout"), kept(buffer, "stderr")) == (b"ccce", b"bbdddd")
    assert (buffer.start_offset("stdout"), buffer.start_offset("stderr")) == (4, 1)
    buffer.append("stdout", b"fff")  # of two b and a c
    assert (kept(buffer, "stdout"), kept(buffer, "stderr")) == (b"ccefff", b"dddd")
    assert (buffer.start_offset("stdout"), buffer.start_offset("stderr")) == (5, 3)
    assert (buffer.end_offset("stdout"), buffer.end_offset("stderr")) == (11, 7)


def test_stream_that_falls_silent_is_forgotten_and_keeps_its_end() -> None:
    buffer = OutputBuffer(10)
    buffer.append("stderr", b"early")
    buffer.append("stdout", b"0123456789")
    assert buffer.snapshot("stderr") == (5, [])
    assert buffer.start_offset("stderr") == buffer.end_offset("stderr") == 5


def test_snapshot_starts_at_the_offset_that_is_asked_for() -> None:
    buffer = OutputBuffer(10)
    buffer.append("stdout", b"0123456789abc")
    offset, pieces = buffer.snapshot("stdout", 5)
    assert (offset, b"".join(pieces)) == (5, b"56789abc")
    assert buffer.snapshot("stdout", 13) == (13, [])


@pytest.mark.parametrize("offset", [None, -5, 0, 2, 3])
def test_snapshot_of_what_is_kept_no_longer_starts_at_the_oldest_byte(offset: int | None) -> None:
    buffer = OutputBuffer(10)
    buffer.append("stdout", b"0123456789abc")
    start, pieces = buffer.snapshot("stdout", offset)
    assert (start, b"".join(pieces)) == (3, b"3456789abc")


def test_offset_beyond_the_end_is_refused() -> None:
    buffer = OutputBuffer(10)
    buffer.append("stdout", b"123")
    with pytest.raises(ValueError, match="stdout has 3 bytes so far and none at 4: ask for at most 3"):
        buffer.snapshot("stdout", 4)
    with pytest.raises(ValueError, match="stderr has 0 bytes so far"):
        buffer.snapshot("stderr", 1)


def test_stream_of_another_name_is_refused() -> None:
    with pytest.raises(KeyError):
        OutputBuffer(10).append("stdin", b"1")


def test_repr_tells_what_is_kept() -> None:
    buffer = OutputBuffer(10)
    buffer.append("stdout", b"0123456789abc")
    assert repr(buffer) == "OutputBuffer(stdout 3..13, stderr 0..0, capacity=10)"


sizes = st.one_of(
    st.integers(0, 40), st.integers(1000, 1100), st.integers(4000, 4200), st.sampled_from([70_000, 300_000])
)
appends = st.lists(st.tuples(st.sampled_from(STREAMS), sizes), max_size=30)


@given(st.one_of(st.integers(-1, 50), st.integers(1000, 9000), st.just(280_000)), appends, st.data())
def test_ring_is_the_tail_of_everything(
    capacity: int, appends: list[tuple[str, int]], data: st.DataObject
) -> None:
    buffer = OutputBuffer(capacity)
    whose, arrived = b"", b""  # of each byte in order: the index of its stream, itself
    totals = dict.fromkeys(STREAMS, 0)
    for number, (stream, size) in enumerate(appends):
        chunk = (CHUNK[number:] * 6)[:size]
        buffer.append(stream, chunk)
        totals[stream] += size
        most = max(0, capacity)
        whose = (whose + bytes([STREAMS.index(stream)]) * size)[-most:] if most else b""
        arrived = (arrived + chunk)[-most:] if most else b""
        assert len(buffer) == len(arrived)
    for index, stream in enumerate(STREAMS):
        expected = bytes(compress(arrived, map(index.__eq__, whose)))
        start = totals[stream] - len(expected)
        assert (buffer.start_offset(stream), buffer.end_offset(stream)) == (start, totals[stream])
        asked = data.draw(st.integers(-1, totals[stream]))
        offset, pieces = buffer.snapshot(stream, asked)
        assert offset == max(asked, start)
        assert b"".join(pieces) == expected[offset - start :]
        assert b"" not in pieces


FILLINGS = by_effort([(50_000, 100_000)], [(REPLAY_BYTES, 1_000_000), (100_000, 300_000)])
"""Capacities, and how many bytes are appended one by one."""


@pytest.mark.deadline(60)
@pytest.mark.parametrize("streams", [["stdout", "stdout"], STREAMS], ids=["same", "alternating"])
@pytest.mark.parametrize(("capacity", "count"), FILLINGS)
def test_many_appends_of_a_byte_cost_little_more_than_the_bytes_kept(
    streams: list[str], capacity: int, count: int
) -> None:
    buffer = OutputBuffer(capacity)

    def fill() -> None:
        one, other = streams
        append = buffer.append
        for _ in range(count // 2):
            append(one, b"x")
            append(other, b"y")

    peak = memory_of(fill)
    assert len(buffer) == capacity
    # Streams that alternate cost one more byte for each, and growing a bytearray may copy it once.
    assert peak < (3.5 if len(set(streams)) > 1 else 1.2) * capacity + 20_000


def test_memory_stays_near_the_capacity_whatever_is_appended() -> None:
    def flood() -> None:
        buffer = OutputBuffer()
        for size in [1, 5000, 65536, 1023, 300_000, 900_000] * 20:
            buffer.append("stdout", bytes(size))
            buffer.append("stderr", bytes(size // 3))

    # One block of each stream, of 256 KiB at most, may be held for its last byte, and the chunk itself.
    assert memory_of(flood) < REPLAY_BYTES + (512 + 900 + 300) * 1024 + 100_000


def test_large_chunk_is_kept_by_reference() -> None:
    buffer = OutputBuffer()
    buffer.append("stdout", b"before")
    chunks = [bytes([number]) * 65536 for number in range(3)]

    def append() -> None:
        for chunk in chunks:
            buffer.append("stdout", chunk)

    assert memory_of(append) < 4096
    pieces = buffer.snapshot("stdout")[1]
    assert pieces[0] == b"before"
    assert all(piece is chunk for piece, chunk in zip(pieces[1:], chunks, strict=True))


@pytest.mark.deadline(60)
def test_appending_100_mb_never_copies_the_whole() -> None:
    count = 100_000_000 // len(CHUNK)

    def append() -> None:
        buffer = OutputBuffer()
        for _ in range(count):
            buffer.append("stdout", CHUNK)

    def copy() -> None:
        whole = bytes(REPLAY_BYTES)
        for _ in range(count):
            bytearray(whole)

    # The floor of a ring that is copied each time; keeping references is some twenty times faster.
    assert best(append) < best(copy) / 4
