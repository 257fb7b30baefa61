"""How serving ends: asked for by `shutdown`, or because the host is gone. The main thread waits for it."""

from __future__ import annotations

import threading

__all__ = ["Ending"]

DEFAULT_GRACE = 2.0
HOST_LOST_GRACE = 0.5
LONGEST_GRACE = 3600.0


class Ending:
    """The reason that came first stays. `msgid` is the `shutdown` request to answer, if there is one."""

    def __init__(self) -> None:
        self.msgid: int | None = None
        self.reason = ""
        self.grace = DEFAULT_GRACE
        self.is_asked = False  # new work is refused
        self._asked = threading.Event()
        self._idle = threading.Event()

    def request(self, msgid: int, grace_ms: object) -> None:
        """The host asks the plugin to stop within `grace_ms`."""
        self.msgid = msgid
        if isinstance(grace_ms, (int, float)) and grace_ms >= 0:
            self.grace = min(grace_ms / 1000, LONGEST_GRACE)
        self.reason = self.reason or "the host is stopping this plugin"
        self.is_asked = True
        self._asked.set()

    def lose(self, reason: str) -> None:
        """The connection is gone."""
        if not self.is_asked:
            self.grace = HOST_LOST_GRACE
            self.reason = reason
        self.is_asked = True
        self._asked.set()

    def leave(self, reason: str) -> None:
        """The plugin ends by itself."""
        if not self.is_asked:
            self.reason = reason
        self.is_asked = True
        self._asked.set()

    def wait(self) -> None:
        """Until the plugin is to end."""
        self._asked.wait()

    def note_idle(self) -> None:
        """Nothing runs at this moment."""
        if self.is_asked:
            self._idle.set()

    def wait_idle(self, seconds: float) -> bool:
        """Up to so many seconds for running calls to end."""
        return self._idle.wait(seconds)
