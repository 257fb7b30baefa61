"""A clock that stands still until a test moves it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FakeClock"]


class FakeClock:
    """Both of its times move together, by `advance` only. May be used from any thread."""

    def __init__(self, monotonic: float = 1000.0, time: float = 1_700_000_000.0) -> None:
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._time = time
        self._wakes: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"FakeClock(monotonic={self._monotonic}, time={self._time})"

    def monotonic(self) -> float:
        with self._lock:
            return self._monotonic

    def time(self) -> float:
        with self._lock:
            return self._time

    def subscribe(self, wake: Callable[[], None]) -> None:
        """Call `wake` after every `advance`, on the thread that made it."""
        with self._lock:
            self._wakes.append(wake)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, and wake who waits. Raises ValueError for fewer than 0."""
        if seconds < 0:
            raise ValueError(f"time passes by 0 seconds or more, not {seconds}")
        with self._lock:
            self._monotonic += seconds
            self._time += seconds
            wakes = list(self._wakes)
        for wake in wakes:
            wake()
