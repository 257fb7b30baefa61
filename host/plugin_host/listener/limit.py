"""What one client of a command listener may take: time, bytes, connections."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times are in seconds, and each is counted for itself.

    `read_s` until a request is complete; `handle_s` for what it asks for; `write_s` until the client has
    taken the reply. After a request that ended with a newline the connection stays for `linger_s`, and for
    `idle_s` once it has had two. `event_s` is each plugin's time for an event; `close_s` is what running
    requests have left when the listener closes. `connections` are at once on one listener; more wait.
    """

    read_s: float = 10.0
    handle_s: float = 60.0
    write_s: float = 10.0
    linger_s: float = 1.0
    idle_s: float = 60.0
    event_s: float = 30.0
    close_s: float = 2.0
    request_bytes: int = 1024 * 1024
    connections: int = 64
