"""How many processors this process may use now."""

from __future__ import annotations

import os

__all__ = ["processors"]


def processors() -> int:
    """At least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
