"""The newest bytes of an output, for its result; the rest is only counted."""

from __future__ import annotations

__all__ = ["Tail"]


class Tail:
    """Keeps up to `limit` bytes. What is added is copied about once, however much there is."""

    __slots__ = ("_kept", "limit", "total")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self._kept = bytearray()

    def add(self, data: bytes) -> None:
        """More output."""
        self.total += len(data)
        self._kept += data[-self.limit :] if self.limit else b""
        if len(self._kept) > 2 * self.limit:
            del self._kept[: len(self._kept) - self.limit]

    @property
    def is_cut(self) -> bool:
        """Whether there was more than is kept."""
        return self.total > self.limit

    def bytes(self) -> bytes:
        """What is kept."""
        return bytes(self._kept[-self.limit :]) if self.limit else b""
