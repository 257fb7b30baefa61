"""Sessions that have ended and whose output nobody here has read to its end.

Who has opened a session may look at it for as long as its plugin keeps it. Invariant: one counts until its
end was read, it is dropped, or the plugin keeps it no longer, as it said when the session ended.
"""

from __future__ import annotations

from time import monotonic
from typing import Protocol

__all__ = ["Readable", "Unread"]

_MOST = 1024


class Readable(Protocol):
    """A session as far as its reading goes."""

    id: str
    looked_at: float  # by `time.monotonic`: when the last viewer left

    @property
    def is_read(self) -> bool:
        """Whether somebody here has read its output up to the end."""


class Unread:
    """Those of one run of a plugin."""

    def __init__(self) -> None:
        self._ended: dict[Readable, tuple[float, float]] = {}  # when, and for how long each is kept

    def __bool__(self) -> bool:
        return any(map(self._counts, list(self._ended)))

    def __contains__(self, session: str) -> bool:
        """Whether the one with this id is among them."""
        return any(one.id == session and self._counts(one) for one in list(self._ended))

    def add(self, session: Readable, kept_s: float) -> None:
        """It has just ended, and is kept for so many seconds from now or from its last viewer."""
        self._ended[session] = (monotonic(), kept_s)
        if len(self._ended) > _MOST:
            del self._ended[next(iter(self._ended))]

    def drop(self, session: Readable) -> None:
        """It is there no more."""
        self._ended.pop(session, None)

    def clear(self) -> None:
        """None of them is there any more."""
        self._ended.clear()

    def _counts(self, session: Readable) -> bool:
        ended_at, kept_s = self._ended[session]
        if not session.is_read and max(ended_at, session.looked_at) + kept_s > monotonic():
            return True
        del self._ended[session]
        return False
