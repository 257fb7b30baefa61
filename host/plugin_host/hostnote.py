"""What the host itself has to tell operators: logged, and kept for who asks a running host for its logs.

Owns the measure of it. Invariant: however often something happens that others can bring about, few notes
are made of it, and how many were left out is told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from .flood import Flood
from .floodgate import Floodgate
from .logbook import LogRecord

if TYPE_CHECKING:
    from .logbook import Logbook

__all__ = ["HostNotes"]

_BURST = 100
_RATE = 2.0


class HostNotes:
    """Called with a text, on the loop; `logger` is the name under which it is logged, as a warning."""

    def __init__(self, logs: Logbook, logger: str) -> None:
        self._logs = logs
        self._logger = logger
        self._gate: Floodgate | None = None

    def __call__(self, text: str) -> None:
        if self._gate is None:
            now = asyncio.get_running_loop().time()
            flood = Flood(now, burst=_BURST, rate=_RATE, reserve=0, reserve_rate=0)
            self._gate = Floodgate(self._tell_lost, flood)
        if self._gate.admit():
            self._put(text)

    def close(self) -> None:
        """Tell of what was left out and not told yet."""
        if self._gate is not None:
            self._gate.flush()

    def _tell_lost(self, text: str) -> None:
        self._put(f"of what the host says itself, {text}")

    def _put(self, text: str) -> None:
        logging.getLogger(self._logger).warning("%s", text)
        self._logs.put(
            LogRecord(
                at=time.time(),
                plugin="",
                level="warning",
                message=text,
                logger=self._logger,
                source="host",
            )
        )
