"""Content that tells its own place: what byte has to stand at an offset of a stream.

A block has its stream's tag and its own number in its head and 4 KiB altogether; the rest is the same
noise in every block. No run of bytes occurs twice in a block, so whatever is missing, repeated or moved
disagrees with what belongs there.
"""

from __future__ import annotations

import random

__all__ = ["Pattern", "is_tag"]

_BLOCK = 4096
_TAG_CHARACTERS = 8
_HEAD_BYTES = _TAG_CHARACTERS + 16

_PRINTABLE = range(33, 127)


def is_tag(text: str) -> bool:
    """Whether it can name a stream."""
    return len(text) == _TAG_CHARACTERS and text.isalnum()


class Pattern:
    """The content of one stream, for ever. With `is_text` nothing that a terminal would change."""

    def __init__(self, tag: str, *, is_text: bool) -> None:
        if not is_tag(tag):
            raise ValueError(f"the tag of a stream is {_TAG_CHARACTERS} letters or digits, not {tag!r}")
        self._tag = tag
        self._body = _TEXT if is_text else _BINARY

    def slice(self, start: int, size: int) -> bytes:
        """What belongs at `start` and after it."""
        first, last = start // _BLOCK, (start + size - 1) // _BLOCK
        blocks = b"".join(self._block(number) for number in range(first, last + 1))
        begin = start - first * _BLOCK
        return blocks[begin : begin + size]

    def _block(self, number: int) -> bytes:
        return b"%s%015d|%s" % (self._tag.encode(), number, self._body)

    def difference(self, start: int, data: bytes) -> int | None:
        """The first place in `data` that is not as it should be at `start`; None when there is none."""
        expected = self.slice(start, len(data))
        if data == expected:
            return None
        return next(place for place, byte in enumerate(data) if byte != expected[place])


def _noise(values: range) -> bytes:
    return bytes(random.Random("noise").choices(values, k=_BLOCK - _HEAD_BYTES))


_TEXT, _BINARY = _noise(_PRINTABLE), _noise(range(256))
