"""Where somebody types: while that is, what floods elsewhere lets others go first.

An echo passes through the same threads and processors as the output of all sessions, and a flood keeps
them busy. Somebody who types feels every millisecond; a flood that pauses for one now and then loses a part
of its rate, and only so long. Invariant: a session never gives way to its own input.

Used from several threads without a lock: at worst a flood gives way a turn too late.
"""

from __future__ import annotations

from time import monotonic

__all__ = ["Attention"]

# Longer than between two keys of somebody who writes.
_LASTS_S = 1.0


class Attention:
    """When the terminals of one plugin last had input: the one that had it last, and all others."""

    __slots__ = ("_latest", "_others", "_session")

    def __init__(self) -> None:
        self._session = ""
        self._latest = self._others = -_LASTS_S

    def note(self, session: str) -> None:
        """A terminal has input."""
        if session != self._session:
            self._others, self._session = self._latest, session
        self._latest = monotonic()

    def is_elsewhere(self, session: str) -> bool:
        """Whether somebody types, and not into this session alone."""
        at = self._others if session == self._session else self._latest
        return monotonic() - at < _LASTS_S
