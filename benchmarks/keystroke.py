"""How keys are pressed: what echoes them, how many at a time, and the pauses between."""

from __future__ import annotations

import random

__all__ = ["ECHO", "KEY", "READY", "pause", "presses"]

KEY = b"k"
READY = b"ready"

# A terminal that passes every byte on as it is, and a program that gives it back.
ECHO = ["/bin/sh", "-c", "stty raw -echo && printf ready && exec cat"]

# Keys come at moments that have nothing to do with what else is going on: 0 to 2 ms apart.
_LONGEST_PAUSE_S = 0.002


def pause() -> float:
    """Seconds until the next key."""
    return random.uniform(0, _LONGEST_PAUSE_S)


def presses(seconds: float) -> int:
    """How many keys such a time has room for, with their pauses and echoes."""
    return max(20, int(seconds / 0.0013))
