"""A reactor that a test turns by hand, so that the test says in which order things happen.

There is no thread, and nothing happens by itself. Invariant: a turn does what a real one does, except that
a callback that raises fails the test.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable

from plugin_host_sdk.exec.reactor import READ, WRITE, Reactor, Timer
from plugin_host_sdk.testing import FakeClock

__all__ = ["TurnedReactor"]

_MOST_TURNS = 10_000


class TurnedReactor(Reactor):
    """Its clock is moved by the test. Moments of real time pass when the test says so, by `breathe`."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.is_alone = True
        self.calls: deque[Callable[[], None]] = deque()
        self.timers: list[Timer] = []
        self.breaths: list[Callable[[], None]] = []
        self._watched: dict[int, tuple[int, Callable[[int], None]]] = {}

    def watch(self, fd: int, events: int, ready: Callable[[int], None]) -> None:
        if events:
            self._watched[fd] = (events, ready)
        else:
            self._watched.pop(fd, None)

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def call_at(self, at: float, call: Callable[[], None]) -> Timer:
        timer = Timer(at, call)
        self.timers.append(timer)
        return timer

    def call_after_breath(self, seconds: float, call: Callable[[], None]) -> None:
        self.breaths.append(call)

    def close(self) -> None:
        self._watched.clear()

    # The test's.

    @property
    def watched(self) -> dict[int, int]:
        """The descriptors that are waited for, and for what."""
        return {fd: events for fd, (events, _) in self._watched.items()}

    def turn(self) -> bool:
        """Tell of what is ready, make the calls, run the timers; whether there was anything."""
        ready = self._ready()
        for ready_call, events in ready:
            ready_call(events)
        calls = [self.calls.popleft() for _ in range(len(self.calls))]
        for call in calls:
            call()
        due = sorted(timer for timer in self.timers if timer.at <= self.clock.monotonic())
        self.timers = [timer for timer in self.timers if timer not in due and timer.call is not None]
        for timer in due:
            if timer.call is not None:
                timer.call()
        return bool(ready or calls or due)

    def settle(self) -> None:
        """Turn until nothing happens any more, before time passes."""
        for _ in range(_MOST_TURNS):
            if not self.turn():
                return
        raise AssertionError("something happens for ever")

    def breathe(self) -> None:
        """Let those moments of real time pass that were asked for, and settle."""
        breaths, self.breaths = self.breaths, []
        for call in breaths:
            call()
        self.settle()

    def pass_time(self, seconds: float) -> None:
        """Move the clock, and settle."""
        self.clock.advance(seconds)
        self.settle()

    def _ready(self) -> list[tuple[Callable[[int], None], int]]:
        poll = select.poll()
        for fd, (events, _) in self._watched.items():
            poll.register(
                fd, (select.POLLIN if events & READ else 0) | (select.POLLOUT if events & WRITE else 0)
            )
        found = []
        for fd, mask in poll.poll(0):
            events, ready = self._watched[fd]
            told = (READ if mask & ~select.POLLOUT else 0) | (WRITE if mask & ~select.POLLIN else 0)
            assert not mask & select.POLLNVAL, f"descriptor {fd} was closed under its watch"
            found.append((ready, told & events))
        return found
