"""Who closes what an author gave, when several ends of a session share it.

An author may give one socket for both directions, or two files of the same descriptor. Invariant: what was
given is closed once, when the last of its ends has let go of it; and no two ends wait for one descriptor.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Custody", "close_quietly"]


class Custody:
    """What an author gave for one session; an object or descriptor that was given twice is held twice."""

    def __init__(self, *given: Any) -> None:
        self._lock = threading.Lock()
        self._awaited: set[int] = set()
        self._holders: dict[int, int] = {}
        for each in given:
            self._holders[_key(each)] = self._holders.get(_key(each), 0) + 1

    def hold(self, obj: Any) -> Callable[[], None]:
        """What lets go of one holding of `obj`; calling it again is nothing."""
        is_held = True

        def let_go() -> None:
            nonlocal is_held
            with self._lock:
                if not is_held:
                    return
                is_held = False
                self._holders[_key(obj)] -= 1
                is_last = not self._holders[_key(obj)]
            if is_last:
                close_quietly(obj)

        return let_go

    def hold_descriptor(self, obj: Any, fd: int) -> tuple[int, Callable[[], None]]:
        """A descriptor for what `fd` of `obj` is, that no other end waits for, and what lets go of both."""
        let_go = self.hold(obj)
        if fd not in self._awaited:
            self._awaited.add(fd)
            return fd, let_go
        twin = os.dup(fd)
        self._awaited.add(twin)

        def close() -> None:
            os.close(twin)
            let_go()

        return twin, close


def close_quietly(obj: Any) -> None:
    """Close a descriptor or an object, if it can be; what that raises concerns nobody any more."""
    close = getattr(obj, "close", None)
    try:
        if type(obj) is int:
            os.close(obj)
        elif callable(close):
            close()
    except Exception:
        pass


def _key(obj: Any) -> int:
    # Equal numbers are one descriptor; the complement keeps them apart from addresses.
    return ~obj if type(obj) is int else id(obj)
