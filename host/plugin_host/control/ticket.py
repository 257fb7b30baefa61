"""One-time tokens: what somebody was promised, until it is taken or too late.

Pure: times are arguments, in seconds. Invariant: a ticket is taken at most once, and never after its time;
the table is bounded.
"""

from __future__ import annotations

import secrets
from typing import Generic, TypeVar

__all__ = ["TicketTable"]

_T = TypeVar("_T")

_MOST = 1024


class TicketTable(Generic[_T]):
    """Tickets that are good for `life_s` seconds. Beyond 1024 the oldest are void."""

    def __init__(self, life_s: float = 30.0) -> None:
        self.life_s = life_s
        self._tickets: dict[str, tuple[float, _T]] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    def issue(self, promise: _T, now: float) -> str:
        """The token for a promise."""
        self._expire(now)
        while len(self._tickets) >= _MOST:
            del self._tickets[next(iter(self._tickets))]
        token = secrets.token_urlsafe(24)
        self._tickets[token] = now + self.life_s, promise
        return token

    def take(self, token: str, now: float) -> _T | None:
        """The promise, once; None when there is none, or no longer."""
        self._expire(now)
        found = self._tickets.pop(token, None)
        return None if found is None else found[1]

    def _expire(self, now: float) -> None:
        for token in [token for token, (until, _) in self._tickets.items() if until <= now]:
            del self._tickets[token]
