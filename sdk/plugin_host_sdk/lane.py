"""What waits to be written, in two lanes: control overtakes bulk.

Control is every message of at most one frame and terminal input; bulk is stream data, logs, progress
and larger messages. Within bulk, streams take turns, one piece each, and every stream keeps its order; one
that is alone is taken up to four frames at a time. A keystroke therefore never waits for a megabyte.

An `Outbox` only orders what drivers give it; they take pieces out and write each to its end.
"""

from __future__ import annotations

from collections import deque

from .protocol import FRAME_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    Piece = Sequence[bytes | memoryview]  # buffers to be written one after the other

__all__ = ["Outbox"]

# What is written at once of a stream that is alone: its reader wakes once for it, which costs as much as a
# frame does.
_TOGETHER_BYTES = 4 * FRAME_BYTES


class Outbox:
    """Pieces to write. `control` and `bulk` are true while something waits in that lane."""

    __slots__ = ("_queues", "bulk", "bulk_bytes", "control")

    def __init__(self) -> None:
        self.control: list[bytes] = []  # appended to directly: it is on the way of every answer
        self.bulk: deque[Hashable] = deque()  # the keys in the order of their turns
        self.bulk_bytes = 0
        self._queues: dict[Hashable, deque[Piece]] = {}

    def __bool__(self) -> bool:
        return bool(self.control or self.bulk)

    @property
    def control_bytes(self) -> int:
        """What waits in the control lane."""
        return sum(map(len, self.control))

    def put(self, data: bytes) -> None:
        """Queue one control message; b"", which says that there is nothing to send, is none."""
        if data:
            self.control.append(data)

    def put_bulk(self, key: Hashable, piece: Piece) -> None:
        """Queue one piece behind the others of the same key; keys take turns."""
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
            self.bulk.append(key)
        queue.append(piece)
        self.bulk_bytes += sum(map(len, piece))

    def take(self) -> Piece | None:
        """The next piece to write, or None. Waiting control messages come together, as one piece."""
        control = self.control
        if control:
            self.control = []
            return control if len(control) == 1 else (b"".join(control),)
        if not self.bulk:
            return None
        key = self.bulk.popleft()
        queue = self._queues[key]
        piece = queue.popleft()
        size = sum(map(len, piece))
        if queue and not self.bulk:  # there is nobody to take turns with
            together = [*piece]
            while queue and (more := size + sum(map(len, queue[0]))) <= _TOGETHER_BYTES:
                together += queue.popleft()
                size = more
            piece = together
        self.bulk_bytes -= size
        if queue:
            self.bulk.append(key)
        else:
            del self._queues[key]
        return piece

    def clear(self) -> None:
        """Forget everything: the peer is gone."""
        self.__init__()  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"Outbox(control={self.control_bytes}, bulk={self.bulk_bytes}, keys={len(self.bulk)})"
