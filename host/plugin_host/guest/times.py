"""The times and limits of the conversation with a guest, in one place so that they can be others."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GuestTimes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestTimes:
    """Seconds. What a guest's own programs were written for are the defaults.

    `head`: how long the line and headers of a request may take, from when the connection was made or,
    of a later request, from the first byte. `poll`: how long a poll is held. `take`: how long an action
    waits for a poll. `reply`: from then until the answer begins. `stall`: how long an answer may make
    no progress. `log`: how long a result waits for logs that are still being sent. `ping`, `pong`:
    between two signs of life of a shell, and how long they may be missing. `write`: how long a message
    to a shell may take. `close`: how long a shell that is closed, or a server, may take to end.
    """

    head: float = 10.0
    poll: float = 30.0
    take: float = 30.0
    reply: float = 30.0
    stall: float = 30.0
    log: float = 30.0
    ping: float = 15.0
    pong: float = 45.0
    write: float = 30.0
    close: float = 2.0
