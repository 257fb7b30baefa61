"""Lines that go by uncounted one by one: only the last of them can still be asked for.

Owns the bytes of a flood of short lines. Splitting each line off costs a hundred times what counting them
does, and all but the newest are forgotten anyway. Invariant: the last `lines` whole lines, and what follows
them, are here as they were written.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Skim"]


class Skim:
    """`begun` is the beginning of a line that the next piece goes on with."""

    __slots__ = ("_count", "_lines", "_pieces")

    def __init__(self, lines: int, begun: bytes) -> None:
        self._lines = lines
        self._pieces: deque[tuple[bytes, int]] = deque([(begun, 0)])
        self._count = 0  # newlines in the pieces that are kept

    def add(self, piece: bytes, newlines: int) -> None:
        """The next bytes, and how many newlines are in them."""
        pieces = self._pieces
        pieces.append((piece, newlines))
        self._count += newlines
        # One newline more than lines: the first line that is left has lost its beginning.
        while self._count - pieces[0][1] > self._lines:
            self._count -= pieces.popleft()[1]

    def take(self) -> tuple[list[bytes], bytes]:
        """The last whole lines, and the beginning of the next, with which the skim goes on."""
        data = b"".join(piece for piece, _ in self._pieces)
        end = start = data.rfind(b"\n") + 1
        for _ in range(min(self._count, self._lines)):
            start = data.rfind(b"\n", 0, start - 1) + 1
        self._pieces = deque([(data[end:], 0)])
        self._count = 0
        return data[start:end].split(b"\n")[:-1], data[end:]
