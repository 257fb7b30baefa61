"""How long a peer is waited for that takes nothing of what waits for it, and how much may wait for it.

Looks are counted, not seconds: a host that stood still itself, or slept, has not looked meanwhile, and may
not hold that against the peer. Who takes much may have much waiting: what it takes in some ten seconds.
"""

from __future__ import annotations

__all__ = ["LOOK_S", "MOST_BYTES", "PATIENCE_S", "Patience"]

LOOK_S = 1.0
PATIENCE_S = 10.0
# What may wait for any peer: eight of the largest messages.
MOST_BYTES = 128 * 1024 * 1024


class Patience:
    """With one peer. `sent` is all that ever was; `untaken` what of it the peer has not taken yet."""

    __slots__ = ("_before", "_last", "_looks")

    def __init__(self) -> None:
        self.begin(0, 0)

    def begin(self, sent: int, untaken: int) -> None:
        """From now on it is looked at."""
        self._last, self._looks, self._before = (sent, untaken), 0, sent

    def look(self, sent: int, untaken: int) -> bool:
        """Whether this look finds that it has stood still for too long."""
        self._before = self._last[0]
        if (sent, untaken) != self._last:
            self._last, self._looks = (sent, untaken), 0
            return False
        self._looks += 1
        return self._looks * LOOK_S >= PATIENCE_S

    def most(self, sent: int) -> float:
        """How many bytes may wait for it."""
        return max(MOST_BYTES, PATIENCE_S / LOOK_S * (sent - self._before))
