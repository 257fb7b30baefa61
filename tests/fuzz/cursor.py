"""Reads decisions out of a fuzzer's bytes: every input is a plan, and a short one ends early.

What is read does not depend on anything but the bytes, so an input that was found can be run again.
Invariant: a cursor never raises; past its end it gives zeros and nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgpack

_Choice = TypeVar("_Choice")

_DEEPEST = 5
_NESTED = 600
"""More levels than msgpack takes in either direction."""

NUMBERS = (0, 1, 2, 127, 128, 255, 2**16, 2**32 - 1, 2**32, 2**63, 2**64 - 1, -1, -(2**63), 2**64, -(2**70))
TEXTS = ("", "msgid", "id", "limits", "message", "ü", "\ud800", "x" * 1100)


class Cursor:
    """A place in `data`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_over(self) -> bool:
        """Whether everything was read."""
        return self._at >= len(self._data)

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or those that are left."""
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(len(self._data))

    def number(self, below: int = 256) -> int:
        """A number from one byte, or from two where one is not enough."""
        size = 1 if below <= 256 else 2
        return int.from_bytes(self.take(size), "big") % below

    def choice(self, options: Sequence[_Choice]) -> _Choice:
        """One of them."""
        return options[self.number(len(options))]

    def value(self, depth: int = 0) -> Any:
        """A value as an author may hand one over, also of kinds that cannot travel."""
        kind = self.number(14) if depth < _DEEPEST else self.number(8)
        if kind == 0:
            return None
        if kind == 1:
            return self.choice((True, False, 1.5, float("nan"), float("inf")))
        if kind in (2, 3):
            return self.choice(NUMBERS)
        if kind in (4, 5):
            return self.choice(TEXTS)
        if kind == 6:
            return self.take(self.number())
        if kind == 7:
            return msgpack.ExtType(self.number(128), self.take(self.number(9)))
        if kind in (8, 9):
            return [self.value(depth + 1) for _ in range(self.number(5))]
        if kind in (10, 11):
            return {self._key(depth): self.value(depth + 1) for _ in range(self.number(5))}
        return self._odd() if kind == 12 else _nested(self.number(_NESTED))

    def _key(self, depth: int) -> Any:
        key = self.value(_DEEPEST) if depth % 2 else self.choice(TEXTS)
        return (key, 1) if self.number(32) == 31 else key

    def _odd(self) -> Any:
        return self.choice((object(), {1, 2}, bytearray(b"x"), memoryview(b"x"), (1, "x"), [b"y"] * 70_000))

    def params(self) -> dict[Any, Any]:
        """A map, as parameters are."""
        return {self.choice(TEXTS): self.value(1) for _ in range(self.number(4))}


def _nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value
