"""The log of a task: all of it, in order, and no faster than the host takes it."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.errors import CallFailed
from plugin_host_sdk.metadata.tasklog import TaskLog
from plugin_host_sdk.testing import RecordingSink

LOST = CallFailed("the host is gone", name="command.connection")


def test_within_the_credit_nobody_waits() -> None:
    sink = RecordingSink()
    log = TaskLog(sink, 1, 10)
    assert log.put(b"hello").is_settled
    assert log.put("wörld"[:4]).is_settled
    assert sink.output(1) == b"hello" + "wörl".encode()


def test_writer_waits_for_credit_and_others_behind_it() -> None:
    sink = RecordingSink()
    log = TaskLog(sink, 1, 4)
    first, second = log.put(b"123456"), log.put(b"7")
    assert (first.is_settled, second.is_settled) == (False, False)
    sink.credit(1, 2)
    assert (first.is_settled, second.is_settled) == (True, False)
    sink.credit(1, 2)
    assert second.is_settled
    assert sink.output(1) == b"1234567"


def test_end_comes_behind_what_waits_and_tells_the_total() -> None:
    sink = RecordingSink()
    log = TaskLog(sink, 1, 2)
    log.put(b"1234")
    ended = log.end()
    assert not ended.is_settled
    assert sink.end_of(1) is None
    sink.credit(1, 5)
    assert ended.wait(1) == 4
    assert (end := sink.end_of(1)) is not None
    assert end.total == 4
    assert log.end().wait(1) == 4


def test_nothing_is_written_behind_the_end() -> None:
    log = TaskLog(RecordingSink(), 1, 10)
    log.end()
    with pytest.raises(CallFailed, match="its log has ended"):
        log.put(b"late")


def test_log_that_nobody_wants_holds_nobody_up() -> None:
    sink = RecordingSink()
    log = TaskLog(sink, 1, 2)
    waiting = log.put(b"1234")
    sink.stop_output(1)
    assert waiting.is_settled
    assert log.put(b"more").is_settled
    assert log.end().wait(1) == 2
    assert sink.output(1) == b"12"


def test_loss_of_the_host_is_told_to_who_waits() -> None:
    log = TaskLog(RecordingSink(), 1, 1)
    waiting, ended = log.put(b"1234"), log.end()
    log.lose(LOST)
    log.lose(CallFailed("again"))
    for later in (waiting, ended):
        with pytest.raises(CallFailed, match="the host is gone"):
            later.wait(1)
    with pytest.raises(CallFailed, match="the host is gone"):
        log.put(b"5")


def test_what_was_given_may_be_changed_afterwards() -> None:
    sink = RecordingSink()
    log = TaskLog(sink, 1, 0)
    data = bytearray(b"abc")
    log.put(data)
    data[:] = b"xyz"
    sink.credit(1, 3)
    assert sink.output(1) == b"abc"


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=20), st.lists(st.integers(1, 25), max_size=40))
def test_bytes_arrive_in_order_whatever_the_credit(pieces: list[bytes], credits: list[int]) -> None:
    sink = RecordingSink(frame_bytes=8)
    log = TaskLog(sink, 1, 0)
    later = [log.put(piece) for piece in pieces]
    for credit in credits:
        sink.credit(1, credit)
    sent, whole = sink.output(1), b"".join(pieces)
    assert sent == whole[: len(sent)]
    assert len(sent) == min(len(whole), sum(credits))
    assert log.total == len(sent)
    counted = 0
    for piece, written in zip(pieces, later, strict=True):
        counted += len(piece)
        assert written.is_settled == (counted <= len(sent))


def test_writers_on_many_threads_lose_nothing() -> None:
    sink = RecordingSink()
    log = TaskLog(sink, 1, 2**20)
    threads = [
        threading.Thread(target=lambda n=n: [log.put(f"{n}:{i}\n").wait(5) for i in range(50)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = sink.output(1).decode().splitlines()
    assert sorted(lines) == sorted(f"{n}:{i}" for n in range(4) for i in range(50))
    for n in range(4):
        assert [line for line in lines if line.startswith(f"{n}:")] == [f"{n}:{i}" for i in range(50)]
