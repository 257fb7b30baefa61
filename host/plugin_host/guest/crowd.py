"""Who is connected: how many of each address, and who of them has not been heard yet.

A connection is heard once a request of it was one that the guest may make. Invariant: those that were not
heard keep nobody out, as the oldest of them gives way to the next.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

__all__ = ["Crowd"]

_T = TypeVar("_T")


class Crowd(Generic[_T]):
    """`most_of_one` are the connections of one address, `most_unheard` those not heard yet, of all."""

    def __init__(self, most_of_one: int, most_unheard: int) -> None:
        self._most_of_one = most_of_one
        self._most_unheard = most_unheard
        self._peers: dict[_T, str] = {}
        self._counts: Counter[str] = Counter()
        self._unheard: dict[_T, str] = {}  # the oldest first

    def __repr__(self) -> str:
        return f"<Crowd {len(self._peers)} unheard={len(self._unheard)}>"

    def enter(self, one: _T, peer: str) -> _T | None:
        """One more. Who has to go for that: somebody unheard, if need be `one` itself; it has left then."""
        self._peers[one] = self._unheard[one] = peer
        self._counts[peer] += 1
        gone = None
        if self._counts[peer] > self._most_of_one:
            gone = next(other for other, its in self._unheard.items() if its == peer)
        elif len(self._unheard) > self._most_unheard:
            gone = next(iter(self._unheard))
        if gone is not None:
            self.leave(gone)
        return gone

    def hear(self, one: _T) -> None:
        """It has made a request that it may make."""
        self._unheard.pop(one, None)

    def leave(self, one: _T) -> None:
        """It is gone, or no connection of this kind any more. A second call does nothing."""
        peer = self._peers.pop(one, None)
        if peer is not None:
            self._unheard.pop(one, None)
            self._counts[peer] -= 1
            if not self._counts[peer]:
                del self._counts[peer]
