"""A flag that says a call is no longer wanted, and lets a handler wait for that."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Cancellation"]

_making = threading.Lock()


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
            with _making:  # two that wait must wait for the same event
                self._event = self._event or threading.Event()
        # Looked at after the event exists: whoever sets the flag either finds the event or came before.
        return self._is_set or self._event.wait(timeout)

    def set(self, reason: str) -> None:
        """Cancel; the first reason stays. Calls what listens, on this thread, which may be the reader."""
        if self._is_set:
            return
        self.reason = reason
        self._is_set = True
        if self._event is not None:
            self._event.set()
        for listener in tuple(self._listeners or ()):  # one that hears of it may stop listening
            _tell(listener)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` when it is set; at once when it is. It must not wait, and may be called twice."""
        if self._listeners is None:
            self._listeners = []
        self._listeners.append(listener)
        if self._is_set:
            _tell(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Stop listening."""
        if self._listeners and listener in self._listeners:
            self._listeners.remove(listener)


def _tell(listener: Callable[[], None]) -> None:
    """Call a listener; one that raises must not end the thread that cancels."""
    try:
        listener()
    except Exception:
        import traceback

        traceback.print_exc()
