"""How much memory a value of the wire takes, roughly, for bounds on what is kept of such values.

Pure. Counts the bytes of texts and a fixed sum for everything else; good within a factor of two.
"""

from __future__ import annotations

from typing import Any

__all__ = ["weigh"]

_OBJECT = 64


def weigh(value: Any, limit: int = 1 << 62) -> int:
    """Bytes that `value` takes; it is looked at no further once it is known to take more than `limit`."""
    total = 0
    waiting = [value]
    while waiting and total <= limit:
        one = waiting.pop()
        total += _OBJECT
        if isinstance(one, (str, bytes, bytearray)):
            total += len(one)
        elif isinstance(one, dict):
            waiting += one.keys()
            waiting += one.values()
        elif isinstance(one, (list, tuple)):
            waiting += one
    return total
