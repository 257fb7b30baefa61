"""What an action puts out, kept for those who read it, in the order in which it came.

Pure. The newest `KEPT_BYTES` are kept; a reader that holds is waited for, by credit that is not given
back, and nobody else is. Invariants: every byte is given back once, when no reader holds it any more; what
is kept is bounded by `KEPT_BYTES` and the credit that is out, also when it comes in single bytes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from plugin_host.exec.viewer import Output

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KEPT_BYTES", "OutputRing"]

KEPT_BYTES = 1_000_000
# What a piece costs beside its bytes.
_PIECE_BYTES = 200
_LARGEST_PIECE = 64 * 1024
# With so many unread pieces the order between the two streams gives way to memory.
_MANY = 1024


class _Piece:
    """Bytes of one stream in a row; `owed` of them were not given back."""

    __slots__ = ("data", "offset", "owed", "stream")

    def __init__(self, stream: str, offset: int, data: bytes) -> None:
        self.stream = stream
        self.offset = offset
        self.data = bytearray(data)
        self.owed = len(data)


class OutputRing:
    """`release(stream, size)` gives credit back. Pieces have numbers, which rise by one."""

    def __init__(self, release: Callable[[str, int], None], kept: int = KEPT_BYTES) -> None:
        self._release = release
        self._kept = kept
        self._pieces: deque[_Piece] = deque()
        self._first = 0  # the number of the oldest that is kept
        self._owing = 0  # before this one nothing is owed
        self._seen = 0  # from this one on no reader was given any
        self._size = 0
        self._newest: dict[str, int] = {}  # the newest piece of each stream
        self._holders: dict[int, int] = {}  # the piece at which each reader holds

    def __repr__(self) -> str:
        return f"<OutputRing pieces={len(self._pieces)} holders={len(self._holders)}>"

    @property
    def first(self) -> int:
        """The number of the oldest piece that is kept."""
        return self._first

    @property
    def end(self) -> int:
        """The number of the piece that is to come."""
        return self._first + len(self._pieces)

    # What comes.

    def put(self, stream: str, offset: int, data: bytes) -> None:
        """Bytes of a stream at their offset."""
        number = self._open_piece(stream, offset, len(data))
        if number is None:
            self._pieces.append(_Piece(stream, offset, data))
            self._newest[stream] = self.end - 1
            self._size += _PIECE_BYTES
        else:
            piece = self._pieces[number - self._first]
            piece.data += data
            piece.owed += len(data)
            self._owing = min(self._owing, number)
        self._size += len(data)
        self._settle()

    def _open_piece(self, stream: str, offset: int, size: int) -> int | None:
        """The piece that can take these bytes up, which nobody has seen."""
        number = self._newest.get(stream, -1)
        if number < max(self._seen, self._first):
            return None
        if number != self.end - 1 and self.end - self._seen < _MANY:
            return None
        piece = self._pieces[number - self._first]
        is_next = piece.offset + len(piece.data) == offset
        return number if is_next and len(piece.data) + size <= _LARGEST_PIECE else None

    # Who reads.

    def at(self, number: int) -> Output | None:
        """The piece of this number, or the oldest one kept if it is not any more; None beyond the end."""
        index = max(0, number - self._first)
        if index >= len(self._pieces):
            return None
        piece = self._pieces[index]
        self._seen = max(self._seen, self._first + index + 1)
        return Output(piece.stream, piece.offset, bytes(piece.data))

    def hold(self, reader: int, number: int) -> None:
        """From here on nothing is given back, or forgotten, before this reader has moved on."""
        self._holders[reader] = max(number, self._first)
        self._settle()

    def let_go(self, reader: int) -> None:
        """This reader is not waited for any more."""
        if self._holders.pop(reader, None) is not None:
            self._settle()

    def _settle(self) -> None:
        limit = min(self._holders.values(), default=self.end)
        while self._owing < limit:
            piece = self._pieces[self._owing - self._first] if self._owing >= self._first else None
            self._owing += 1
            if piece is not None and piece.owed:
                owed, piece.owed = piece.owed, 0
                self._release(piece.stream, owed)
        while self._size > self._kept and self._first < min(limit, self.end - 1):
            piece = self._pieces.popleft()
            self._first += 1
            self._size -= len(piece.data) + _PIECE_BYTES
