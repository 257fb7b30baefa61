"""The log of a task: a ring when nobody reads it, and lossless for whoever does."""

from __future__ import annotations

import asyncio
import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.errors import InvalidPayload
from plugin_host.task.log import TaskLog
from plugin_host.task.logreader import LogReader
from tests.run import Run


def nothing() -> None:
    pass


def test_log_that_nobody_reads_takes_everything_and_keeps_the_newest() -> None:
    log = TaskLog(kept=10)
    for byte in range(30):
        log.append(bytes([byte]))
        assert log.limit == log.end
    assert (log.start, log.end) == (20, 30)
    reader = log.attach(20)
    assert log.take(reader, 100) == bytes(range(20, 30))


def test_reader_loses_nothing_and_the_log_takes_a_ring_full_more() -> None:
    log = TaskLog(kept=10)
    rooms: list[int] = []
    log.on_room = lambda: rooms.append(log.limit)
    log.append(b"abc")
    reader = log.attach(0)
    log.append(bytes(20))
    assert (log.start, log.limit) == (0, 10)
    assert log.take(reader, 5) == b"abc\0\0"
    assert rooms == [15]
    log.detach(reader)
    assert (log.start, log.limit) == (13, 23)


@given(st.lists(st.one_of(st.binary(max_size=30), st.integers(0, 2)), max_size=60))
def test_every_reader_gets_every_byte_within_bounded_memory(steps: list[bytes | int]) -> None:
    log, written, kept = TaskLog(kept=16), b"", 16
    readers = {log.attach(0): b"" for _ in range(3)}
    for step in steps:
        if isinstance(step, bytes):
            if len(written) + len(step) <= log.limit + 30:  # a worker's window beyond what is taken
                log.append(step)
                written += step
        else:
            number = list(readers)[step]
            readers[number] += log.take(number, 7)
        assert log.end - log.start <= kept + 30 + kept
    for number, got in readers.items():
        rest = got
        while piece := log.take(number, 7):
            rest += piece
        assert rest == written


def test_reading_begins_where_it_is_asked_to_and_says_what_is_kept_no_longer(run: Run) -> None:
    async def body() -> None:
        log = TaskLog(kept=4)
        log.append(b"abcdef")
        for offset, start, evicted, first in (
            (None, 2, 0, b"cdef"),
            (3, 3, 0, b"def"),
            (0, 2, 2, b"cdef"),
        ):
            reader = LogReader(log, offset, nothing)
            assert (reader.start, reader.evicted) == (start, evicted)
            assert await anext(reader) == first
            assert reader.offset == 6
            reader.close()
        live = LogReader(log, -1, nothing)
        log.append(b"g")
        assert await anext(live) == b"g"
        for wrong in (8, -2):
            with pytest.raises(InvalidPayload, match="7 bytes"):
                LogReader(log, wrong, nothing)

    run(body())


def test_reading_ends_behind_the_last_byte_or_says_why_it_is_not_whole(run: Run) -> None:
    async def body() -> None:
        log = TaskLog()
        reader = LogReader(log, None, nothing)
        reading = asyncio.create_task(_rest(reader))
        await asyncio.sleep(0)
        log.append(b"one")
        await asyncio.sleep(0)
        log.append(b"two")
        log.conclude()
        assert await reading == b"onetwo"

        def lost() -> None:
            raise RuntimeError("lost")

        broken = LogReader(log, 3, lost)
        assert await anext(broken) == b"two"
        with pytest.raises(RuntimeError, match="lost"):
            await anext(broken)
        with pytest.raises(StopAsyncIteration):
            await anext(broken)

    run(body())


def test_reader_that_is_closed_or_dropped_holds_nobody_up(run: Run) -> None:
    async def body() -> None:
        log = TaskLog(kept=4)
        async with LogReader(log, None, nothing):
            log.append(bytes(10))
            assert log.limit == 4
        assert log.limit == 10

        async for _ in LogReader(log, None, nothing):
            log.append(bytes(100))
            break
        gc.collect()
        await asyncio.wait_for(log.wait_for_room(), 5)
        assert log.limit == 110

    run(body())


def test_writer_waits_for_the_slowest_reader(run: Run) -> None:
    async def body() -> None:
        log = TaskLog(kept=4)
        fast, slow = LogReader(log, None, nothing), LogReader(log, None, nothing)
        log.append(b"abcdef")
        waiting = asyncio.create_task(log.wait_for_room())
        assert await anext(fast) == b"abcdef"
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await anext(slow) == b"abcdef"
        await waiting

    run(body())


def test_second_task_that_waits_on_a_reader_is_refused(run: Run) -> None:
    async def body() -> None:
        log = TaskLog()
        reader = LogReader(log, None, nothing)
        first = asyncio.create_task(_rest(reader))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks"):
            await anext(reader)
        reader.close()
        assert await first == b""

    run(body())


async def _rest(reader: LogReader) -> bytes:
    return b"".join([data async for data in reader])


def test_log_of_a_task_that_is_to_end_takes_a_ring_more_than_its_reader_and_loses_nothing() -> None:
    log = TaskLog(kept=10)
    rooms: list[int] = []
    log.on_room = lambda: rooms.append(log.limit)
    reader = log.attach(0)
    log.append(bytes(range(30)))
    log.make_room()
    log.make_room()
    assert (rooms, log.limit) == ([20], 20)
    assert log.take(reader, 100) == bytes(range(30))
