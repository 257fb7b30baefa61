"""How serving ends: asked for by `shutdown`, or because the host is gone. The main thread waits for it."""

from __future__ import annotations

import threading

__all__ = ["Ending"]

DEFAULT_GRACE = 2.0
HOST_LOST_GRACE = 0.5


class Ending:
    """The reason that came first stays. `msgid` is the `shutdown` request to answer, if there is one."""

    def __init__(self) -> None:
        self.msgid: int | None = None
        self.reason = ""
        self.grace = DEFAULT_GRACE
        self._asked = threading.Event()
        self._idle = threading.Event()

    def is_set(self) -> bool:
        """Whether new work is refused."""
        return self._asked.is_set()

    def request(self, msgid: int, grace_ms: object) -> None:
        """The host asks the plugin to stop within `grace_ms`."""
        self.msgid = msgid
        if isinstance(grace_ms, (int, float)) and grace_ms >= 0:
            self.grace = grace_ms / 1000
        self.reason = self.reason or "the host is stopping this plugin"
        self._asked.set()

    def lose(self, reason: str) -> None:
        """The connection is gone."""
        if not self._asked.is_set():
            self.grace = HOST_LOST_GRACE
            self.reason = reason
        self._asked.set()

    def wait(self) -> None:
        """Until the plugin is to end."""
        self._asked.wait()

    def note_idle(self) -> None:
        """Nothing runs at this moment."""
        if self._asked.is_set():
            self._idle.set()

    def wait_idle(self) -> bool:
        """Up to the grace time for running calls to end."""
        return self._idle.wait(self.grace)
