"""Does something while the test waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

PAUSE_S = 0.02
"""Before the first call, so that the test most likely waits by then; nothing depends on it."""


def later(*calls: Callable[[], object]) -> None:
    """Make the calls, one after the other, on another thread in a moment."""

    def run() -> None:
        for call in calls:
            call()

    threading.Timer(PAUSE_S, run).start()
