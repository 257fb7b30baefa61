"""How the rate of a stream is taken: what arrives in a time, once the buffers on the way are full."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

__all__ = ["Meter", "both", "child"]

# More than all pipes, windows and rings between a writer and its reader hold.
_PIPE_WARM_UP_BYTES = 16 << 20
_TERMINAL_WARM_UP_BYTES = 4 << 20

_CHILD = str(Path(__file__).with_name("session_child.py"))


def child(mode: str) -> list[str]:
    """The command of what runs in a session; without `site`, so that it starts at once."""
    return [sys.executable, "-I", "-S", _CHILD, mode]


def both(raw: float, cooked: float, prefix: str = "") -> dict[str, float]:
    """The figures of a terminal. Ratios of `mb_per_s`, the geometric mean, lie between both ratios."""
    return {
        f"{prefix}mb_per_s": math.sqrt(raw * cooked),
        f"{prefix}raw_mb_per_s": raw,
        f"{prefix}cooked_mb_per_s": cooked,
    }


class Meter:
    """Counts bytes. `add` returns False when the time is over; then `mb_per_s` is the rate."""

    def __init__(self, seconds: float, *, is_terminal: bool) -> None:
        self._seconds = seconds
        self._warm_up = _TERMINAL_WARM_UP_BYTES if is_terminal else _PIPE_WARM_UP_BYTES
        self._clock = time.perf_counter
        self._bytes = 0
        self._start = 0.0
        self.mb_per_s = 0.0

    def add(self, size: int) -> bool:
        """So many bytes came. Raises EOFError for none: what is measured never ends by itself."""
        if not size:
            raise EOFError("the stream that was to be measured has ended")
        self._bytes += size
        if self._bytes < self._warm_up:
            return True
        now = self._clock()
        if not self._start:
            self._start = now
            self._warm_up = self._bytes
            return True
        if now - self._start < self._seconds:
            return True
        self.mb_per_s = (self._bytes - self._warm_up) / 1e6 / (now - self._start)
        return False
