"""Ending what a task runs because the host wants it: the whole tree, gently, and after a while for certain.

All of it is frozen, asked to end child first, and let go on; what lives after the grace is killed, with
what was born meanwhile. Waiting happens on a thread of its own. A later kill may only shorten the time.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host_sdk.exec.family import Family

__all__ = ["CallKilling", "Killing", "TreeKilling"]

_FIRST_LOOK_S = 0.005
_LONGEST_LOOK_S = 0.1
_KILL_S = 2.0  # after SIGKILL only the kernel can be slow
LONGEST_GRACE_S = 3600.0


class Killing(Protocol):
    """How one task is ended."""

    def kill(self, grace: float) -> bool:
        """End it within `grace` seconds, without waiting for it; False when nothing of it is left."""

    def finish(self) -> None:
        """What it ran has ended by itself."""


class TreeKilling:
    """A process with all that it started."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._lock = threading.Lock()
        self._until: float | None = None
        self._hastened = threading.Event()

    def kill(self, grace: float) -> bool:
        until = monotonic() + min(grace, LONGEST_GRACE_S)
        with self._lock:
            is_first = self._until is None
            self._until = until if self._until is None else min(self._until, until)
        if not is_first:
            is_alive = bool(self._family.alive())
            self._hastened.set()
            return is_alive
        if not self._family.end_gently():
            with self._lock:
                self._until = None  # of a later kill something may be found
            return False
        threading.Thread(target=self._see_to_the_end, name="kill of a task", daemon=True).start()
        return True

    def finish(self) -> None:
        try:
            self._family.look()
        except OSError:
            pass  # no descriptor left to look with

    def _see_to_the_end(self) -> None:
        pause = _FIRST_LOOK_S
        assert self._until is not None
        while self._family.alive() and monotonic() < self._until + _KILL_S:
            left = self._until - monotonic()
            if left <= 0:
                self._kill()
            self._hastened.wait(pause if left <= 0 else min(pause, left))
            self._hastened.clear()
            pause = min(pause * 1.5, _LONGEST_LOOK_S)
        with self._lock:
            self._until = None

    def _kill(self) -> None:
        import signal

        try:
            self._family.signal_all(signal.SIGKILL)
        except OSError:
            self._family.signal_all(signal.SIGKILL, again=False)


class CallKilling:
    """Work that an author's function ends: `function(grace)` is called on a thread of its own, once."""

    def __init__(self, function: Callable[[float], object]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._was_called = False
        self._is_over = False

    def kill(self, grace: float) -> bool:
        with self._lock:
            if self._is_over or self._was_called:
                return not self._is_over
            self._was_called = True
        threading.Thread(target=self._function, args=(grace,), name="kill of a task", daemon=True).start()
        return True

    def finish(self) -> None:
        with self._lock:
            self._is_over = True
