"""The work every contestant is given: payloads and counts, in one place so that they stay the same."""

from __future__ import annotations

__all__ = ["BATCH", "BIG", "IN_FLIGHT", "SMALL", "THREADS", "WARM_UP"]

SMALL = b"12345678"
BIG = bytes(1 << 20)

IN_FLIGHT = 64
THREADS = 8

# The parameters of calls that are made together.
BATCH = [{"payload": SMALL}] * 2000

# Calls before each measurement: enough for a plugin to prove a handler quick, and for caches.
WARM_UP = 200
