"""One thread that waits for one answer: what a future is to a coroutine.

It sleeps on a lock of its own, which is made when it has to: who reads its answer itself needs none. All
but `sleep` and `tell` is called with the mutex of its link held.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from _thread import LockType
    from collections.abc import Callable

    Progress = Callable[[float, float | None, str], None]

__all__ = ["Answer", "Waiter"]

# Of reports that the caller has not taken note of, so many are kept, the latest.
_REPORTS_KEPT = 1000


class Answer(Protocol):
    """What a link fills in when a call ends: a future of its loop's, or a `Waiter`."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, error: Exception, /) -> None: ...


class Waiter:
    """`is_done` once there is a `result`, or an `error` to raise.

    `thread` is whose call it is, `msgid` its id once it was sent, `on_progress` who hears of `reports`.
    """

    # What a call begins with, not set for each: most are answered before anything else happens.
    msgid: int | None = None
    is_done = False
    result: Any = None
    error: Exception | None = None
    reports: deque[tuple[float, float | None, str]] | None = None
    _lock: LockType | None = None
    _is_asleep = False

    def __init__(self, thread: int, on_progress: Progress | None = None) -> None:
        self.thread = thread
        self.on_progress = on_progress

    def __repr__(self) -> str:
        return f"<Waiter thread={self.thread} done={self.is_done}>"

    # As a future.

    def done(self) -> bool:
        return self.is_done

    def set_result(self, result: Any) -> None:
        self.result = result
        self.is_done = True
        if self._is_asleep:
            self.wake()

    def set_exception(self, error: Exception) -> None:
        self.error = error
        self.is_done = True
        if self._is_asleep:
            self.wake()

    # Sleeping.

    def report(self, done: float, total: float | None, message: str) -> None:
        """How far the call is, for its thread to tell."""
        if self.on_progress is None:
            return
        if self.reports is None:
            self.reports = deque(maxlen=_REPORTS_KEPT)
        self.reports.append((done, total, message))
        if self._is_asleep:
            self.wake()

    def tell(self, loop: asyncio.AbstractEventLoop) -> None:
        """What was reported, on its thread and without the mutex. What that raises is the loop's to log."""
        while self.reports and self.on_progress is not None:
            try:
                self.on_progress(*self.reports.popleft())
            except Exception as error:
                name = getattr(self.on_progress, "__qualname__", self.on_progress)
                told = {"message": f"{name} raised", "exception": error}
                loop.call_soon_threadsafe(loop.call_exception_handler, told)

    def lie_down(self) -> None:
        """The next `sleep` lasts until `wake`, also when that comes first."""
        if self._lock is None:
            self._lock = allocate_lock()
        self._lock.acquire(blocking=False)
        self._is_asleep = True

    def sleep(self, seconds: float = -1) -> None:
        """Wait until it is woken, or for so long; without the mutex."""
        assert self._lock is not None
        self._lock.acquire(timeout=seconds)

    def get_up(self) -> None:
        """It sleeps no longer, woken or not."""
        self._is_asleep = False

    def wake(self) -> None:
        """End its sleep."""
        assert self._lock is not None
        if self._is_asleep:
            self._is_asleep = False
            self._lock.release()
