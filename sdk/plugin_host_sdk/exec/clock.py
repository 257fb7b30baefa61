"""The time as sessions see it, so that a test can set it."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Clock(Protocol):
        """Seconds. `monotonic` measures, `time` is that of the wall since the epoch."""

        def monotonic(self) -> float: ...
        def time(self) -> float: ...

        def subscribe(self, wake: Callable[[], None]) -> None:
            """Call `wake` whenever time has jumped."""


__all__ = ["SystemClock"]


class SystemClock:
    """The machine's own, which never jumps."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def subscribe(self, wake: Callable[[], None]) -> None:
        pass
