"""The ring of an output: who gets what from where, and when more is taken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from plugin_host.guest.shelloutput import ShellOutput


class Ears:
    """Puts together what it is given."""

    def __init__(self) -> None:
        self.data = b""
        self.gaps: list[tuple[int, int]] = []
        self.total: int | None = None
        self.place = 0

    def received(self, stream: int, offset: int, data: bytes) -> None:
        assert offset == self.place
        self.data += data
        self.place += len(data)

    def skipped(self, stream: int, offset: int, size: int) -> None:
        assert offset == self.place
        self.gaps.append((offset, size))
        self.place += size

    def ended(self, stream: int, total: int, error: Any) -> None:
        assert (total, error, self.total) == (self.place, None, None)
        self.total = total


class Made:
    """An output, with what it has taken."""

    def __init__(self, kept: int = 8, *, waits: bool = False) -> None:
        self.taken = 0
        self.output = ShellOutput(kept, self._used, waits=waits)

    def _used(self, size: int) -> None:
        self.taken += size

    def follow(
        self, stream: int, window: int = 100, offset: int | None = None, lossless: bool = True
    ) -> Ears:
        ears = Ears()
        self.output.follow(stream, ears, window, offset, is_lossless=lossless)
        return ears


def test_nobody_looks_and_the_newest_are_kept() -> None:
    made = Made()
    made.output.put(b"0123456789ab")
    assert made.taken == 12
    assert (made.output.start, made.output.end) == (4, 12)
    assert made.follow(1).data == b"456789ab"


def test_first_look_is_waited_for() -> None:
    made = Made(waits=True)
    made.output.put(b"0123456789")
    assert made.taken == 8
    ears = made.follow(1)
    assert (made.taken, ears.data) == (10, b"0123456789")


def test_lossless_follower_without_credit_stops_it() -> None:
    made = Made()
    ears = made.follow(1, window=2)
    made.output.put(b"0123456789abcdef")
    assert (ears.data, made.taken) == (b"01", 10)
    made.output.credit(1, 4)
    assert (ears.data, made.taken) == (b"012345", 14)
    made.output.leave(1)
    assert made.taken == 16


def test_other_followers_get_a_gap_with_the_bytes_behind_it() -> None:
    made = Made()
    ears = made.follow(1, window=2, lossless=False)
    made.output.put(b"0123456789")
    made.output.put(b"abcdef")
    assert (ears.data, ears.gaps) == (b"01", [])
    made.output.credit(1, 100)
    assert (ears.data, ears.gaps) == (b"0189abcdef", [(2, 6)])


def test_follower_begins_where_it_says_or_is_told_what_is_kept_no_longer() -> None:
    made = Made()
    made.output.put(b"0123456789ab")
    ears = Ears()
    place = made.output.follow(1, ears, 100, 2, is_lossless=True)
    assert (place.base, place.start, place.end, place.evicted) == (2, 4, 12, 2)
    assert (ears.gaps, ears.data) == ([(0, 2)], b"456789ab")
    assert made.follow(2, offset=-1).data == b""
    assert made.follow(3, offset=10).data == b"ab"
    with pytest.raises(ValueError, match="12 bytes"):
        made.follow(4, offset=13)


def test_end_comes_behind_the_last_byte() -> None:
    made = Made()
    ears = made.follow(1, window=2)
    made.output.put(b"abcd")
    made.output.finish()
    ends = [ears.total]
    assert made.output.is_followed(1)
    made.output.credit(1, 2)
    assert [*ends, ears.total] == [None, 4]
    assert not made.output.is_followed(1)
    made.output.finish()
    assert made.follow(2).total == 4


def test_end_waits_for_what_there_was_no_room_for() -> None:
    made = Made(kept=4, waits=True)
    made.output.put(b"0123456789")
    made.output.finish()
    assert made.output.total == 10
    ears = made.follow(1)
    assert (ears.data, ears.total) == (b"0123456789", 10)


@given(
    some.lists(some.one_of(some.binary(min_size=1, max_size=20), some.integers(1, 30)), max_size=30),
    some.integers(1, 16),
)
def test_lossless_follower_gets_every_byte(steps: list[bytes | int], kept: int) -> None:
    made = Made(kept)
    ears = made.follow(1, window=1)
    sent = b""
    for step in steps:
        if isinstance(step, int):
            made.output.credit(1, step)
        else:
            sent += step
            made.output.put(step)
        assert sent.startswith(ears.data)
        assert made.output.end - made.output.start <= kept
        assert made.taken == made.output.end
    made.output.finish()
    made.output.credit(1, 1000)
    assert (ears.data, ears.total, ears.gaps) == (sent, len(sent), [])
