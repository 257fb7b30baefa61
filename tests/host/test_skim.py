"""Lines that are only counted: the newest of them are there all the same, however they were cut."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from plugin_host.skim import Skim

pieces = st.lists(st.text("ab\n", max_size=30).map(str.encode), max_size=20)


@given(begun=st.sampled_from([b"", b"xyz"]), pieces=pieces, lines=st.integers(1, 6), more=pieces)
def test_last_lines_are_there_as_they_were_written(
    begun: bytes, pieces: list[bytes], lines: int, more: list[bytes]
) -> None:
    skim = Skim(lines, begun)
    written = begun
    for part in (pieces, more):
        for piece in part:
            skim.add(piece, piece.count(b"\n"))
        written += b"".join(part)
        *whole, rest = written.split(b"\n")
        assert skim.take() == (whole[-lines:], rest)
        written = rest


def test_what_is_kept_is_bounded() -> None:
    skim = Skim(100, b"")
    piece = b"x" * 63 + b"\n"
    for _ in range(10_000):
        skim.add(piece * 16, 16)
    assert sum(sys.getsizeof(kept) for kept, _ in skim._pieces) < 20_000
    lines, rest = skim.take()
    assert (lines, rest) == ([b"x" * 63] * 100, b"")
