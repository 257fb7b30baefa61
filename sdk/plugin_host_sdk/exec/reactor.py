"""One thread that waits for the descriptors and timers of all sessions.

It calls back when a descriptor is ready or a time has come, and knows nothing of what they mean. Callbacks
must not wait and run without its lock. Everything here may be called from any thread. Invariant: with
nothing to do there is no wake-up; the thread is started with the first watch, timer or call.
"""

from __future__ import annotations

import heapq
import os
import selectors
import threading
from collections import deque
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .clock import Clock

    Ready = Callable[[int], None]

__all__ = ["READ", "WRITE", "Reactor", "Timer"]

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Timer:
    """A call that waits for its time."""

    __slots__ = ("at", "call")

    def __init__(self, at: float, call: Callable[[], None] | None) -> None:
        self.at = at
        self.call = call

    def cancel(self) -> None:
        """It will not be called, unless it is being called now."""
        self.call = None

    def __lt__(self, other: Timer) -> bool:
        return self.at < other.at


class Reactor:
    """Descriptors and timers. `clock` is that of `call_at`; `report` is told what a callback raised."""

    def __init__(self, clock: Clock, report: Callable[[str], None]) -> None:
        self._clock = clock
        self._report = report
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._timers: list[Timer] = []
        self._soon: deque[Callable[[], None]] = deque()
        self._breaths: list[Timer] = []
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._is_waiting = False
        self.is_alone = True  # the callback that runs: nothing else was ready with it
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, READ, self._drain_wakes)
        clock.subscribe(self._wake)

    def watch(self, fd: int, events: int, ready: Ready) -> None:
        """Call `ready(events)` whenever `fd` is ready for one of `events`; 0 stops that.

        Of a descriptor that is closed the watch is ended first. One last call may be under way meanwhile.
        """
        with self._lock:
            if self._is_closed:
                return
            known = self._selector.get_map().get(fd)
            if known is None:
                if events:
                    self._selector.register(fd, events, ready)
            elif not events:
                self._selector.unregister(fd)
            elif known.events != events or known.data is not ready:
                self._selector.modify(fd, events, ready)
        self.start()

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call it on the reactor's thread."""
        self._soon.append(call)
        if self._is_waiting:
            self._wake()
        elif self._thread is None:
            self.start()

    def call_at(self, at: float, call: Callable[[], None]) -> Timer:
        """Call it when the clock is at `at`."""
        timer = Timer(at, call)
        with self._lock:
            heapq.heappush(self._timers, timer)
            is_next = self._timers[0] is timer
        self.start()
        if is_next:
            self._wake()
        return timer

    def call_after_breath(self, seconds: float, call: Callable[[], None]) -> None:
        """Call it a moment of real time later; for a few milliseconds, from a callback only."""
        self._breaths.append(Timer(monotonic() + seconds, call))

    def close(self) -> None:
        """Stop calling back. Waits for the callback that runs, unless it is this."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            thread = self._thread
        self._wake()
        if thread is None:
            self._release()
        elif thread is not threading.current_thread():
            thread.join()

    def start(self) -> None:
        """Start the thread, unless it runs. Whoever did this first can rely on all else.

        Raises RuntimeError when the system gives no thread; it can be tried again.
        """
        with self._lock:
            if self._thread is None and not self._is_closed:
                thread = threading.Thread(target=self._run, name="sessions", daemon=True)
                thread.start()
                self._thread = thread

    def _wake(self) -> None:
        with self._lock:  # or its number may be another's by now
            if self._wake_write < 0:
                return
            try:
                os.write(self._wake_write, b"\0")
            except BlockingIOError:
                pass  # it has not yet heard of the last ones

    def _drain_wakes(self, events: int) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass

    # On the thread.

    def _run(self) -> None:
        while not self._is_closed:
            # Said first, looked second: who adds to `_soon` after the look finds it said.
            self._is_waiting = True
            timeout = 0.0 if self._soon else self._timeout()
            ready = self._selector.select(timeout)
            self._is_waiting = False
            self.is_alone = len(ready) <= 1 and not self._soon
            for key, events in ready:
                if events:  # or the watch was changed under the wait
                    self._guard(key.data, events)
            for _ in range(len(self._soon)):
                self._guard(self._soon.popleft())
            if self._breaths:
                self._run_breaths()
            if self._timers:
                self._run_timers()
        self._release()

    def _timeout(self) -> float | None:
        """Seconds to wait at most; None is for ever."""
        waits = [timer.at - monotonic() for timer in self._breaths]
        with self._lock:
            while self._timers and self._timers[0].call is None:
                heapq.heappop(self._timers)
            if self._timers:
                waits.append(self._timers[0].at - self._clock.monotonic())
        return max(0.0, min(waits)) if waits else None

    def _run_breaths(self) -> None:
        now = monotonic()
        due = [timer for timer in self._breaths if timer.at <= now]
        self._breaths = [timer for timer in self._breaths if timer.at > now]
        for timer in due:
            if timer.call is not None:
                self._guard(timer.call)

    def _run_timers(self) -> None:
        now = self._clock.monotonic()
        while True:
            with self._lock:
                if not self._timers or self._timers[0].at > now:
                    return
                call = heapq.heappop(self._timers).call
            if call is not None:
                self._guard(call)

    def _guard(self, call: Callable[..., None], *arguments: object) -> None:
        """One session's fault is not the others'."""
        try:
            call(*arguments)
        except Exception:
            import traceback

            self._report(traceback.format_exc())

    def _release(self) -> None:
        with self._lock:
            self._selector.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_write = -1
