"""What a viewer has not been sent yet: every byte comes out, or is in a gap at its place."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.exec.backlog import Backlog
from tests.effort import by_effort

ALL = 2**30


def drained(backlog: Backlog, most: int = ALL) -> list[bytes | int]:
    """Everything that waits; views as bytes."""
    taken: list[bytes | int] = []
    while (piece := backlog.take(most)) is not None:
        taken.append(piece if isinstance(piece, int) else bytes(piece))
    return taken


def test_nothing_waits_at_first() -> None:
    backlog = Backlog(None)
    assert not backlog
    assert backlog.size == 0
    assert backlog.take(ALL) is None


def test_bytes_come_out_in_order() -> None:
    backlog = Backlog(None)
    backlog.push(b"one")
    backlog.push(b"two")
    backlog.push(b"x" * 5000)
    assert backlog
    assert backlog.size == 5006
    assert (
        b"".join(piece for piece in drained(backlog) if isinstance(piece, bytes)) == b"onetwo" + b"x" * 5000
    )
    assert not backlog
    assert backlog.size == 0


def test_large_pieces_are_neither_copied_nor_joined() -> None:
    backlog = Backlog(None)
    one, two = b"1" * 2000, b"2" * 2000
    backlog.push(one)
    backlog.push(two)
    assert backlog.take(ALL) is one
    assert backlog.take(ALL) is two


def test_piece_larger_than_asked_for_is_sliced_without_a_copy() -> None:
    backlog = Backlog(None)
    data = bytes(range(256)) * 40
    backlog.push(data)
    pieces = [backlog.take(4096) for _ in range(3)]
    assert all(isinstance(piece, memoryview) and piece.obj is data for piece in pieces)
    assert [len(piece) for piece in pieces if isinstance(piece, memoryview)] == [4096, 4096, 2048]
    assert b"".join(piece for piece in pieces if isinstance(piece, memoryview)) == data


def test_views_are_taken_as_they_are() -> None:
    backlog = Backlog(None)
    data = b"x" * 3000
    backlog.push(memoryview(data)[1000:])
    piece = backlog.take(ALL)
    assert isinstance(piece, memoryview)
    assert piece.obj is data
    assert len(piece) == 2000


def test_small_pushes_come_out_together() -> None:
    backlog = Backlog(None)
    for number in range(10_000):
        backlog.push(bytes([number % 256]))
    pieces = drained(backlog)
    assert [len(piece) for piece in pieces if isinstance(piece, bytes)] == [4096, 4096, 1808]


def test_many_small_pushes_cost_little_more_than_their_bytes() -> None:
    count = by_effort(100_000, 1_000_000)
    backlog = Backlog(None)
    tracemalloc.start()
    try:
        for _ in range(count):
            backlog.push(b"x")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert backlog.size == count
    assert peak < 1.2 * count + 60_000


def test_bytes_wait_for_credit_and_gaps_do_not() -> None:
    backlog = Backlog(None)
    backlog.push_gap(7)
    backlog.push(b"data")
    assert backlog.take(0) == 7
    assert backlog.take(0) is None
    assert backlog.take(-1) is None
    assert backlog.take(1) == b"d"
    assert backlog.size == 3
    assert backlog


def test_gap_comes_at_its_place() -> None:
    backlog = Backlog(None)
    backlog.push(b"before")
    backlog.push_gap(3)
    backlog.push(b"behind")
    assert drained(backlog) == [b"before", 3, b"behind"]


def test_gap_alone_is_something_that_waits() -> None:
    backlog = Backlog(None)
    backlog.push_gap(5)
    assert backlog
    assert backlog.size == 0
    assert backlog.take(0) == 5
    assert not backlog


def test_gaps_that_meet_become_one_and_empty_ones_none() -> None:
    backlog = Backlog(None)
    backlog.push_gap(0)
    assert not backlog
    backlog.push_gap(2)
    backlog.push_gap(3)
    backlog.push(b"")
    backlog.push_gap(4)
    assert drained(backlog) == [9]


def test_oldest_bytes_beyond_the_limit_become_a_gap() -> None:
    backlog = Backlog(10)
    backlog.push(b"0123456789")
    assert backlog.take(4) == b"0123"
    backlog.push(b"abcdefg")
    assert backlog.size == 10
    assert drained(backlog) == [3, b"789", b"abcdefg"]


def test_lost_bytes_take_the_gaps_between_them_along() -> None:
    backlog = Backlog(6)
    backlog.push(b"aaa")
    backlog.push_gap(10)
    backlog.push(b"bbb")
    backlog.push_gap(20)
    backlog.push(b"cccc")
    assert drained(backlog) == [3 + 10 + 1, b"bb", 20, b"cccc"]
    backlog.push(b"ddd")
    backlog.push_gap(5)
    backlog.push(b"e" * 25)
    assert drained(backlog) == [3 + 5 + 19, b"eeeeee"]


@pytest.mark.parametrize("limit", [0, -1])
def test_without_room_everything_is_a_gap(limit: int) -> None:
    backlog = Backlog(limit)
    backlog.push(b"12345")
    backlog.push(b"678")
    assert backlog.size == 0
    assert drained(backlog) == [8]


def test_cleared_backlog_is_empty_and_can_be_used_again() -> None:
    backlog = Backlog(10)
    backlog.push(b"123")
    backlog.push_gap(3)
    backlog.push(b"x" * 30)
    backlog.clear()
    assert not backlog
    assert backlog.take(ALL) is None
    backlog.push(b"again")
    assert drained(backlog) == [b"again"]


def test_repr_tells_what_waits() -> None:
    backlog = Backlog(10)
    backlog.push(b"x" * 12)
    assert repr(backlog) == "Backlog(size=10, gaps=[2], limit=10)"


class Model:
    """The same with one item for every byte: its value, or None where it is missing."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.items: list[int | None] = []

    @property
    def size(self) -> int:
        return sum(item is not None for item in self.items)

    def push(self, data: bytes) -> None:
        self.items += data
        if self.limit is not None:
            held = [at for at, item in enumerate(self.items) if item is not None]
            for at in held[: max(0, len(held) - self.limit)]:
                self.items[at] = None

    def take(self, most: int) -> bytes | int | None:
        """The longest piece that may be taken."""
        gap = 0
        while gap < len(self.items) and self.items[gap] is None:
            gap += 1
        if gap:
            del self.items[:gap]
            return gap
        data = bytearray()
        for item in self.items[: max(0, most)]:
            if item is None:
                break
            data.append(item)
        del self.items[: len(data)]
        return bytes(data) or None


lengths = st.one_of(st.integers(0, 30), st.integers(1000, 1050), st.sampled_from([4095, 4096, 9000]))
steps = st.one_of(
    st.tuples(st.just("push"), lengths),
    st.tuples(st.just("gap"), st.integers(0, 20)),
    st.tuples(st.just("take"), st.one_of(st.integers(0, 20), st.sampled_from([1000, 5000, ALL]))),
)
limits = st.one_of(st.none(), st.integers(0, 50), st.sampled_from([1000, 5000]))


@given(limits, st.lists(steps, max_size=40))
def test_bytes_and_gaps_account_for_everything_in_order(
    limit: int | None, steps: list[tuple[str, int]]
) -> None:
    backlog, model = Backlog(limit), Model(limit)
    pushed = taken = number = 0
    for what, size in [*steps, *[("take", ALL)] * 100]:
        if what == "push":
            data = bytes((number + at) % 251 for at in range(size))
            number += size
            backlog.push(data)
            model.push(data)
            pushed += size
        elif what == "gap":
            backlog.push_gap(size)
            model.items += [None] * size
            pushed += size
        else:
            taken += expect_same(backlog, model, size)
        assert backlog.size == model.size
        assert bool(backlog) == bool(model.items)
        assert limit is None or backlog.size <= limit
    assert not backlog
    assert taken == pushed


def expect_same(backlog: Backlog, model: Model, most: int) -> int:
    """One `take` of each; how much of the stream it was. Only pieces of bytes may be shorter."""
    piece = backlog.take(most)
    if piece is None or isinstance(piece, int):
        assert model.take(most) == piece
        return piece or 0
    assert 0 < len(piece) <= most
    assert model.take(len(piece)) == piece
    return len(piece)


@given(st.lists(steps, max_size=40))
def test_without_a_limit_nothing_is_lost(steps: list[tuple[str, int]]) -> None:
    backlog = Backlog(None)
    pushed = taken = b""
    for what, size in [*steps, *[("take", ALL)] * 100]:
        if what == "push":
            data = bytes((len(pushed) + at) % 251 for at in range(size))
            backlog.push(data)
            pushed += data
        elif what == "take" and (piece := backlog.take(size)) is not None:
            assert not isinstance(piece, int)
            taken += piece
    assert taken == pushed
