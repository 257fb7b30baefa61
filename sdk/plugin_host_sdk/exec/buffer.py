"""The newest output of a session, for viewers that come later.

Owns what is kept, over both streams together, and where in each stream it lies; knows nothing of viewers.
Invariant: exactly the newest `capacity` bytes are kept, in the order in which they arrived, whichever
stream they belong to. Not thread-safe: the session's lock guards it.
"""

from __future__ import annotations

from plugin_host_sdk.protocol import REPLAY_BYTES

from .block import BlockQueue

__all__ = ["OutputBuffer"]

# A block is freed as a whole, so a larger chunk is cut: up to this much is held and no longer counted.
_LARGEST_BLOCK = 256 * 1024


class OutputBuffer:
    """A ring over "stdout" and "stderr"; another stream's name is a KeyError.

    Offsets count the bytes of one stream since the session began. With a capacity of 0 or less nothing is
    kept and offsets are still counted.
    """

    __slots__ = ("_arrivals", "_size", "_streams", "capacity")

    def __init__(self, capacity: int = REPLAY_BYTES) -> None:
        self.capacity = max(0, capacity)
        self._streams = {"stdout": _Stream(0), "stderr": _Stream(1)}
        self._arrivals = _Arrivals()
        self._size = 0

    def __len__(self) -> int:
        """The bytes that are kept of both streams, never more than `capacity`."""
        return self._size

    def __repr__(self) -> str:
        kept = ", ".join(f"{name} {one.start}..{one.end}" for name, one in self._streams.items())
        return f"OutputBuffer({kept}, capacity={self.capacity})"

    def start_offset(self, stream: str) -> int:
        """Where the oldest kept byte lies; the end when none is kept."""
        return self._streams[stream].start

    def end_offset(self, stream: str) -> int:
        """How many bytes there have been."""
        return self._streams[stream].end

    def append(self, stream: str, data: bytes) -> None:
        """Add the newest bytes of one stream. Large chunks are kept by reference, never copied."""
        target = self._streams[stream]
        size = len(data)
        if size == 0:
            return
        excess = self._size + size - self.capacity
        if excess > 0:
            excess -= self._evict(min(excess, self._size))
            if excess:  # nothing else is left, and its own beginning is too much
                target.skip(excess)
                data = data[excess:]
                size -= excess
        if size:
            target.push(data)
            self._arrivals.add(target.index, size)
            self._size += size

    def snapshot(self, stream: str, offset: int | None = None) -> tuple[int, list[bytes | memoryview]]:
        """The bytes from `offset` to the end, and where the first of them lies.

        None, or an offset that is kept no longer, is the oldest kept byte. The pieces do not change when
        more is appended. Raises ValueError for an offset beyond the end.
        """
        source = self._streams[stream]
        if offset is None or offset < source.start:
            offset = source.start
        if offset > source.end:
            raise ValueError(
                f"{stream} has {source.end} bytes so far and none at {offset}: ask for at most {source.end}"
            )
        return offset, source.queue.newest(source.end - offset)

    def _evict(self, size: int) -> int:
        """Forget the `size` bytes that came first; `size`."""
        self._size -= size
        stdout, stderr = self._streams.values()
        left = size
        while left:
            index, count = self._arrivals.take(left)
            (stderr if index else stdout).drop(count)
            left -= count
        return size


class _Stream:
    """What is kept of one stream: the bytes from `start` up to `end`."""

    __slots__ = ("end", "index", "queue", "start")

    def __init__(self, index: int) -> None:
        self.index = index
        self.start = 0
        self.end = 0
        self.queue = BlockQueue()

    def push(self, data: bytes) -> None:
        size = len(data)
        self.end += size
        if size <= _LARGEST_BLOCK:
            self.queue.push(data)
            return
        for at in range(0, size, _LARGEST_BLOCK):
            self.queue.push(data[at : at + _LARGEST_BLOCK])

    def drop(self, size: int) -> None:
        self.start += size
        self.queue.drop(size)

    def skip(self, size: int) -> None:
        """Count bytes that are not kept, while none are."""
        self.end += size
        self.start = self.end


class _Arrivals:
    """Whose the kept bytes are, in the order in which they came: run lengths that alternate.

    Two streams that alternate byte by byte make as many runs as bytes, so those between the oldest and
    the newest are packed: seven bits a byte, the low ones first, the high bit on all but the last.
    """

    __slots__ = ("_newest", "_newest_size", "_oldest", "_oldest_size", "_packed")

    def __init__(self) -> None:
        self._oldest = 0  # the stream of the oldest run
        self._oldest_size = 0  # 0 when it was taken; then the first of `_packed`, or the newest, follows
        self._packed = bytearray()
        self._newest = 1  # the stream of the newest run
        self._newest_size = 0

    def add(self, stream: int, size: int) -> None:
        """`size` bytes of `stream` came."""
        if stream != self._newest:
            self._pack(self._newest_size)
            self._newest = stream
            self._newest_size = 0
        self._newest_size += size

    def take(self, most: int) -> tuple[int, int]:
        """The stream of the oldest bytes, and how many of them, at most `most`, are forgotten now."""
        while not self._oldest_size and self._packed:
            self._oldest = 1 - self._oldest
            self._oldest_size = self._unpack()
        if self._oldest_size:
            size = min(most, self._oldest_size)
            self._oldest_size -= size
            return self._oldest, size
        size = min(most, self._newest_size)
        self._newest_size -= size
        return self._newest, size

    def _pack(self, size: int) -> None:
        while size > 127:
            self._packed.append(size & 127 | 128)
            size >>= 7
        self._packed.append(size)

    def _unpack(self) -> int:
        size = shift = taken = 0
        while True:
            byte = self._packed[taken]
            taken += 1
            size |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
        # Cheap: a bytearray gives up its beginning without moving the rest.
        del self._packed[:taken]
        return size
