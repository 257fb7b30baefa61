"""A flag that says a call is no longer wanted, and lets a handler wait for that."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Cancellation"]


class Cancellation:
    """Set once. True in a condition when it is set; `reason` says by what. Cheap until waited for."""

    __slots__ = ("_event", "_is_set", "_listeners", "reason")

    def __init__(self) -> None:
        self._is_set = False
        self._event: threading.Event | None = None
        self._listeners: list[Callable[[], None]] | None = None
        self.reason: str | None = None

    def __bool__(self) -> bool:
        return self._is_set

    def __repr__(self) -> str:
        return f"<Cancellation {self.reason or 'not set'}>"

    def is_set(self) -> bool:
        """Whether the call was cancelled."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds; True as soon as the call is cancelled."""
        if self._event is None:
            self._event = threading.Event()
        # Looked at after the event exists: whoever sets the flag either finds the event or came before.
        return self._is_set or self._event.wait(timeout)

    def set(self, reason: str) -> None:
        """Cancel; the first reason stays. Calls what listens, on this thread."""
        if self._is_set:
            return
        self.reason = reason
        self._is_set = True
        if self._event is not None:
            self._event.set()
        for listener in self._listeners or ():
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` when it is set; at once when it is."""
        if self._listeners is None:
            self._listeners = []
        self._listeners.append(listener)
        if self._is_set:
            listener()

    def forget(self, listener: Callable[[], None]) -> None:
        """Stop listening."""
        if self._listeners and listener in self._listeners:
            self._listeners.remove(listener)
