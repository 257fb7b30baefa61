"""What waits to be written, in two lanes: control overtakes bulk.

Control is every message of at most one frame and terminal input; bulk is stream data, logs, progress
and larger messages. Within bulk, streams take turns, one piece each, and every stream keeps its order.
A keystroke therefore waits for one frame at most, never for a megabyte.

An `Outbox` only orders what drivers give it; they take pieces out and write each to its end.
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    Piece = Sequence[bytes | memoryview]  # buffers to be written one after the other

__all__ = ["Outbox"]


class Outbox:
    """Pieces to write. `control_bytes` and `bulk_bytes` are what waits in each lane."""

    __slots__ = ("_bulk", "_control", "_turns", "bulk_bytes", "control_bytes")

    def __init__(self) -> None:
        self.control_bytes = 0
        self.bulk_bytes = 0
        self._control: deque[bytes] = deque()
        self._bulk: dict[Hashable, deque[Piece]] = {}
        self._turns: deque[Hashable] = deque()

    def __bool__(self) -> bool:
        return bool(self._control or self._turns)

    def put(self, data: bytes) -> None:
        """Queue one control message; b"", which says that there is nothing to send, is none."""
        if not data:
            return
        self._control.append(data)
        self.control_bytes += len(data)

    def put_bulk(self, key: Hashable, piece: Piece) -> None:
        """Queue one piece behind the others of the same key; keys take turns."""
        queue = self._bulk.get(key)
        if queue is None:
            queue = self._bulk[key] = deque()
            self._turns.append(key)
        queue.append(piece)
        self.bulk_bytes += sum(map(len, piece))

    def take(self) -> Piece | None:
        """The next piece to write, or None. Waiting control messages come together, as one piece."""
        if self._control:
            piece: Piece = [b"".join(self._control)] if len(self._control) > 1 else [self._control[0]]
            self._control.clear()
            self.control_bytes = 0
            return piece
        if not self._turns:
            return None
        key = self._turns.popleft()
        queue = self._bulk[key]
        piece = queue.popleft()
        self.bulk_bytes -= sum(map(len, piece))
        if queue:
            self._turns.append(key)
        else:
            del self._bulk[key]
        return piece

    def clear(self) -> None:
        """Forget everything: the peer is gone."""
        self.__init__()  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"Outbox(control={self.control_bytes}, bulk={self.bulk_bytes}, keys={len(self._turns)})"
