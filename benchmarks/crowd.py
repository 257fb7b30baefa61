"""Many sessions in one plugin: how many, what runs in them, and what each of them costs a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .burden import Burden

__all__ = ["COMMAND", "SESSIONS", "costs", "is_terminal"]

SESSIONS = 500

# Waits for input for ever.
COMMAND = ["cat"]


def is_terminal(number: int) -> bool:
    """Every other session is on a terminal, the others are on pipes."""
    return number % 2 == 0


def costs(prefix: str, before: Burden, after: Burden) -> dict[str, float]:
    """What all of them cost a process, per session; the threads are a total."""
    return {
        f"{prefix}rss_kib": (after.rss_kib - before.rss_kib) / SESSIONS,
        f"{prefix}pss_kib": (after.pss_kib - before.pss_kib) / SESSIONS,
        f"{prefix}descriptors": (after.descriptors - before.descriptors) / SESSIONS,
        f"{prefix}threads": after.threads,
    }
