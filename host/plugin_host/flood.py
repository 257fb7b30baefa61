"""How many log records of one plugin are heard, and what is said of the others.

Owns the measure: two buckets of tokens that fill with time, one that every record takes from, and a
reserve for warnings and above, so that the error which explains a flood is not drowned in it. Pure: the
time is an argument, in seconds of any clock that only rises. Invariant: every record that was put to it is
either admitted or counted, and every count is told once.

A record costs the host's loop 15 to 40 µs with all that logging does, so RATE takes at most 4 % of it;
BURST, at most 0.2 s, is for the plugin that says much when it starts or fails.
"""

from __future__ import annotations

__all__ = ["BURST", "RATE", "RESERVE", "RESERVE_RATE", "WARNING", "Flood"]

BURST = 5000
RATE = 1000
RESERVE = 500
RESERVE_RATE = 50

WARNING = 30
"""The level of `logging` from which on the reserve may be used."""


class Flood:
    """The measure of one plugin. `total` counts all that was dropped since it was made."""

    __slots__ = ("_buckets", "_dropped", "_since", "total")

    def __init__(
        self,
        now: float,
        *,
        burst: int = BURST,
        rate: float = RATE,
        reserve: int = RESERVE,
        reserve_rate: float = RESERVE_RATE,
    ) -> None:
        self._buckets = (_Bucket(now, burst, rate), _Bucket(now, reserve, reserve_rate))
        self._dropped = 0  # and not told yet
        self._since = now  # when the first of these was
        self.total = 0

    def admit(self, now: float, level: int) -> bool:
        """Whether a record of this level may be logged; one that may not is counted."""
        ordinary, reserve = self._buckets
        if ordinary.take(now) or (level >= WARNING and reserve.take(now)):
            return True
        self.drop(now, 1)
        return False

    def room(self, now: float) -> int:
        """How many ordinary records would be admitted now."""
        return self._buckets[0].filled(now)

    def drop(self, now: float, count: int) -> None:
        """So many went by without a look at each."""
        if not self._dropped:
            self._since = now
        self._dropped += count
        self.total += count

    def report(self, now: float) -> str | None:
        """What was dropped since the last report, as the end of a sentence; None when nothing was."""
        if not self._dropped:
            return None
        dropped, self._dropped = self._dropped, 0
        records = "log record was" if dropped == 1 else "log records were"
        rate = self._buckets[0].rate
        return (
            f"{dropped} {records} dropped in the last {max(0.1, now - self._since):.1f} s: "
            f"it logs faster than {rate:g} a second"
        )


class _Bucket:
    """Holds `size` tokens at most and gets `rate` a second."""

    __slots__ = ("_at", "_held", "_size", "rate")

    def __init__(self, now: float, size: int, rate: float) -> None:
        self.rate = rate
        self._size = size
        self._held = float(size)
        self._at = now

    def filled(self, now: float) -> int:
        self._held = min(self._size, self._held + max(0.0, now - self._at) * self.rate)
        self._at = now
        return int(self._held)

    def take(self, now: float) -> bool:
        if self.filled(now) < 1:
            return False
        self._held -= 1
        return True
