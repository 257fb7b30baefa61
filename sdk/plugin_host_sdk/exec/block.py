"""Bytes that wait in order: large pieces are kept as they came, small ones share blocks.

Owns how bytes are held and nothing of what they mean. Invariant: a piece of `_LARGE` bytes or more is
never copied, and what smaller ones cost beyond their bytes is a small part of them. Not thread-safe.
"""

from __future__ import annotations

from collections import deque

__all__ = ["BlockQueue"]

# A bytes object and its place in the deque cost some 40 bytes, 4 % of this; copying less is cheap.
_LARGE = 1024
_BLOCK_BYTES = 4096


class BlockQueue:
    """Appended to at one end, taken from at the other. `size` is what it holds, in bytes.

    What is pushed must not change afterwards.
    """

    __slots__ = ("_blocks", "_open", "size")

    def __init__(self) -> None:
        self._blocks: deque[bytes | memoryview] = deque()
        self._open = bytearray()  # the newest bytes, while they are few
        self.size = 0

    def __repr__(self) -> str:
        return f"BlockQueue(size={self.size}, blocks={len(self._blocks)})"

    def push(self, data: bytes | memoryview) -> None:
        """Add the newest bytes."""
        size = len(data)
        self.size += size
        if size >= _LARGE:
            if self._open:
                self._seal()
            self._blocks.append(data)
        else:
            if len(self._open) + size > _BLOCK_BYTES:
                self._seal()
            self._open += data

    def take(self, most: int) -> bytes | memoryview:
        """The oldest piece, `most` bytes of it at most; b"" when there is none."""
        if self.size == 0 or most <= 0:
            return b""
        if not self._blocks:
            self._seal()
        piece = self._blocks[0]
        if len(piece) <= most:
            self._blocks.popleft()
        else:
            view = memoryview(piece)
            piece, self._blocks[0] = view[:most], view[most:]
        self.size -= len(piece)
        return piece

    def drop(self, size: int) -> None:
        """Forget the oldest `size` bytes, or all when there are fewer."""
        size = min(size, self.size)
        self.size -= size
        blocks = self._blocks
        while size and blocks:
            held = len(blocks[0])
            if held > size:
                blocks[0] = memoryview(blocks[0])[size:]
                return
            blocks.popleft()
            size -= held
        del self._open[:size]

    def newest(self, size: int) -> list[bytes | memoryview]:
        """The newest `size` bytes, or all when there are fewer, as pieces in order."""
        pieces: list[bytes | memoryview] = []
        if self._open and size > 0:
            pieces.append(bytes(self._open[-size:]))
            size -= len(pieces[0])
        for block in reversed(self._blocks):
            if size <= 0:
                break
            held = len(block)
            pieces.append(block if held <= size else memoryview(block)[held - size :])
            size -= held
        pieces.reverse()
        return pieces

    def clear(self) -> None:
        """Forget everything."""
        self._blocks.clear()
        self._open = bytearray()
        self.size = 0

    def _seal(self) -> None:
        """Nothing is added to the open block any more."""
        self._blocks.append(bytes(self._open))
        self._open = bytearray()
