"""The thread of all sessions: calls when it is time, sleeps otherwise, and no fault spreads."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from plugin_host_sdk.exec.clock import SystemClock
from plugin_host_sdk.exec.reactor import READ, WRITE, Reactor
from plugin_host_sdk.testing import FakeClock
from tests.wait import WaitUntil

PATIENCE_S = 5.0


class Desk:
    """A reactor with a clock of the test's, and what its callbacks raised."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.reports: list[str] = []
        self.reactor = Reactor(self.clock, self.reports.append)

    def does(self, *calls: Callable[[], None]) -> None:
        """Make the calls in one turn of the reactor's thread, and wait until they were made."""
        done = threading.Event()

        def ask() -> None:
            for call in (*calls, done.set):
                self.reactor.call_soon(call)

        self.reactor.call_soon(ask)
        assert done.wait(PATIENCE_S), "the reactor does not do what it is asked to"

    def settle(self) -> None:
        """Let it do what is due now: two turns, because one may be under way."""
        self.does()
        self.does()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.reactor.close()
    assert desk.reports == []


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


class Heard:
    """A callback, and how often it was called with what, on which threads."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.threads: set[str] = set()
        self._changed = threading.Condition()

    def __call__(self, *arguments: Any) -> None:
        with self._changed:
            self.calls.append(arguments)
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def wait(self, count: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.calls) >= count, PATIENCE_S), self.calls


# Calls.


def test_calls_are_made_in_order_on_one_thread(desk: Desk) -> None:
    heard = Heard()
    for number in range(1000):
        desk.reactor.call_soon(partial(heard, number))
    heard.wait(1000)
    assert heard.calls == [(number,) for number in range(1000)]
    assert heard.threads == {"sessions"}


def test_calls_of_many_threads_are_all_made_each_threads_in_order(desk: Desk) -> None:
    heard = Heard()

    def call(caller: int) -> None:
        for number in range(500):
            desk.reactor.call_soon(partial(heard, caller, number))

    callers = [threading.Thread(target=call, args=[caller]) for caller in range(4)]
    for thread in callers:
        thread.start()
    heard.wait(2000)
    for thread in callers:
        thread.join(PATIENCE_S)
    for caller in range(4):
        assert [number for who, number in heard.calls if who == caller] == list(range(500))


def test_call_that_is_asked_for_by_a_callback_waits_for_its_turn(desk: Desk) -> None:
    order: list[str] = []

    def first() -> None:
        desk.reactor.call_soon(lambda: order.append("asked for by the first"))
        order.append("first")

    desk.does(first, lambda: order.append("second"))
    desk.settle()
    assert order == ["first", "second", "asked for by the first"]


def test_callback_that_asks_for_itself_for_ever_keeps_nobody_waiting(
    desk: Desk, pipe: tuple[int, int]
) -> None:
    reading, writing = pipe
    heard, is_enough = Heard(), threading.Event()

    def again() -> None:
        if not is_enough.is_set():
            desk.reactor.call_soon(again)

    desk.reactor.watch(reading, READ, lambda events: heard(os.read(reading, 100)))
    desk.reactor.call_soon(again)
    os.write(writing, b"x")
    heard.wait()
    is_enough.set()


# Timers.


def test_timer_is_called_when_its_time_has_come_and_not_before(desk: Desk) -> None:
    heard = Heard()
    desk.reactor.call_at(desk.clock.monotonic() + 10, heard)
    desk.clock.advance(9.999)
    desk.settle()
    assert heard.calls == []
    desk.clock.advance(0.001)
    heard.wait()
    desk.clock.advance(100)
    desk.settle()
    assert heard.calls == [()]


def test_timers_are_called_in_the_order_of_their_times(desk: Desk) -> None:
    order: list[int] = []
    for seconds in (3, 1, 2):
        desk.reactor.call_at(1000 + seconds, partial(order.append, seconds))
    desk.clock.advance(5)
    desk.settle()
    assert order == [1, 2, 3]


def test_timer_of_the_past_is_called_at_once(desk: Desk) -> None:
    heard = Heard()
    desk.reactor.call_at(0.0, heard)
    heard.wait()


def test_timer_may_set_another(desk: Desk) -> None:
    heard = Heard()

    def set_another() -> None:
        desk.reactor.call_at(1002, heard)

    desk.reactor.call_at(1001, set_another)
    desk.clock.advance(1)
    desk.settle()
    assert heard.calls == []
    desk.clock.advance(1)
    heard.wait()


def test_cancelled_timer_is_not_called(desk: Desk) -> None:
    heard = Heard()
    first = desk.reactor.call_at(1001, heard)
    second = desk.reactor.call_at(1002, heard)
    first.cancel()
    desk.does(second.cancel)
    desk.clock.advance(5)
    desk.settle()
    assert heard.calls == []


def test_timer_may_cancel_another_that_is_due_with_it(desk: Desk) -> None:
    heard = Heard()
    second = desk.reactor.call_at(1002, heard)
    desk.reactor.call_at(1001, second.cancel)
    desk.clock.advance(5)
    desk.settle()
    assert heard.calls == []


def test_real_time_passes_by_itself() -> None:
    heard, clock = Heard(), SystemClock()
    reactor = Reactor(clock, pytest.fail)
    try:
        began = clock.monotonic()
        reactor.call_at(began + 0.03, heard)
        heard.wait()
        assert clock.monotonic() - began >= 0.03
    finally:
        reactor.close()


def test_breath_is_of_real_time_and_taken_once(desk: Desk) -> None:
    heard = Heard()
    desk.does(lambda: desk.reactor.call_after_breath(0.001, heard))
    heard.wait()
    desk.settle()
    assert heard.calls == [()]


# Descriptors.


def test_descriptor_is_told_of_as_long_as_it_is_ready(desk: Desk, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    heard = Heard()
    desk.reactor.watch(reading, READ, heard)
    desk.settle()
    assert heard.calls == []
    os.write(writing, b"x")
    heard.wait(3)  # nobody reads it
    assert set(heard.calls) == {(READ,)}
    assert heard.threads == {"sessions"}


def test_watch_that_was_ended_hears_nothing(desk: Desk, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    heard = Heard()
    desk.reactor.watch(reading, READ, heard)
    desk.reactor.watch(reading, 0, heard)
    desk.settle()
    os.write(writing, b"x")
    desk.settle()
    assert heard.calls == []
    desk.reactor.watch(reading, 0, heard)  # again is nothing


def test_watch_may_be_changed(desk: Desk, pipe: tuple[int, int]) -> None:
    _, writing = pipe
    first, second = Heard(), Heard()
    for _ in range(50):
        desk.reactor.watch(writing, READ, first)
        desk.reactor.watch(writing, WRITE, second)
        second.wait()
    assert first.calls == []
    assert set(second.calls) == {(WRITE,)}


def test_descriptor_may_end_its_watch_while_it_is_told(desk: Desk, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    heard = Heard()

    def once(events: int) -> None:
        desk.reactor.watch(reading, 0, once)
        heard(events)

    desk.reactor.watch(reading, READ, once)
    os.write(writing, b"x")
    heard.wait()
    desk.settle()
    assert heard.calls == [(READ,)]


def test_descriptors_are_watched_and_let_go_of_by_many_threads(desk: Desk) -> None:
    def come_and_go() -> None:
        for _ in range(100):
            reading, writing = os.pipe()
            heard = Heard()
            desk.reactor.watch(reading, READ, heard)
            os.write(writing, b"x")
            heard.wait()
            desk.reactor.watch(reading, 0, heard)
            # Told of on the reactor's thread, which may be about to tell once more.
            desk.does()
            os.close(reading)
            os.close(writing)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S * 3)
    assert not any(thread.is_alive() for thread in threads)


def test_number_that_was_given_anew_is_watched_for_its_new_owner(desk: Desk) -> None:
    for _ in range(20):
        reading, writing = os.pipe()
        heard = Heard()
        desk.reactor.watch(reading, READ, heard)
        desk.reactor.watch(reading, 0, heard)
        os.close(reading)
        again, writing_again = os.pipe()
        assert again == reading
        desk.reactor.watch(again, READ, heard)
        os.write(writing_again, b"x")
        heard.wait()
        desk.reactor.watch(again, 0, heard)
        desk.does()
        for fd in (writing, again, writing_again):
            os.close(fd)


# Faults.


def test_callback_that_raises_is_told_of_and_harms_nobody(desk: Desk, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    heard = Heard()

    def fail(*_: object) -> None:
        raise LookupError("of one session")

    desk.reactor.call_at(1001, fail)
    desk.reactor.call_at(1002, heard)
    desk.reactor.watch(reading, READ, fail)
    os.write(writing, b"x")
    desk.does(fail, lambda: desk.reactor.call_after_breath(0.0, fail))
    desk.clock.advance(5)
    heard.wait()
    desk.reactor.watch(reading, 0, fail)
    desk.settle()
    assert len(desk.reports) >= 4
    assert all("LookupError: of one session" in report for report in desk.reports)
    desk.reports.clear()


# Waiting.


def waits_of(desk: Desk, during: Callable[[], object]) -> list[float | None]:
    """For how long the reactor was ready to wait, each time it did, while something else went on."""
    selector = desk.reactor._selector
    select, waits = selector.select, list[float | None]()

    def record(timeout: float | None = None) -> Any:
        waits.append(timeout)
        return select(timeout)

    selector.select = record  # type: ignore[method-assign]
    during()
    return waits


def test_nothing_runs_before_there_is_something_to_do(desk: Desk) -> None:
    assert "sessions" not in [thread.name for thread in threading.enumerate()]
    desk.does()
    assert "sessions" in [thread.name for thread in threading.enumerate()]


def test_without_anything_to_do_it_waits_for_ever(desk: Desk, wait_until: WaitUntil) -> None:
    desk.does()
    waits = waits_of(desk, desk.does)
    wait_until(lambda: desk.reactor._is_waiting and waits[-1:] == [None])
    before = len(waits)
    assert not threading.Event().wait(0.05)
    assert len(waits) == before


def test_it_waits_until_the_next_timer_and_does_not_tick(desk: Desk, wait_until: WaitUntil) -> None:
    desk.does()
    timers = [desk.reactor.call_at(1000 + seconds, Heard()) for seconds in (7200, 3600)]
    waits = waits_of(desk, desk.does)
    wait_until(lambda: desk.reactor._is_waiting and waits[-1:] == [3600.0])
    for timer in timers:
        timer.cancel()
    desk.does()
    wait_until(lambda: desk.reactor._is_waiting and waits[-1:] == [None])


def test_later_timer_wakes_nobody(desk: Desk, wait_until: WaitUntil) -> None:
    desk.does()
    desk.reactor.call_at(1010, Heard())
    waits = waits_of(desk, desk.does)
    wait_until(lambda: desk.reactor._is_waiting and waits[-1:] == [10.0])
    before = len(waits)
    desk.reactor.call_at(1020, Heard())
    assert not threading.Event().wait(0.05)
    assert len(waits) == before


# The end.


def test_close_waits_for_the_callback_that_runs() -> None:
    desk, order = Desk(), list[str]()
    has_begun, may_end = threading.Event(), threading.Event()

    def last() -> None:
        has_begun.set()
        may_end.wait(PATIENCE_S)
        order.append("callback")

    def close() -> None:
        desk.reactor.close()
        order.append("closed")

    desk.reactor.call_soon(last)
    assert has_begun.wait(PATIENCE_S)
    closer = threading.Thread(target=close)
    closer.start()
    may_end.set()
    closer.join(PATIENCE_S)
    assert order == ["callback", "closed"]


def test_callback_may_close_it() -> None:
    desk, closed = Desk(), threading.Event()

    def end() -> None:
        desk.reactor.close()
        closed.set()

    desk.reactor.call_soon(end)
    assert closed.wait(PATIENCE_S)
    desk.reactor.close()


def test_close_of_one_that_never_ran_gives_everything_back() -> None:
    desk = Desk()
    desk.reactor.close()
    desk.reactor.close()


def test_nothing_is_called_after_the_close(pipe: tuple[int, int]) -> None:
    desk, heard = Desk(), Heard()
    reading, writing = pipe
    desk.reactor.call_at(1001, heard)
    desk.does()
    desk.reactor.close()
    desk.reactor.watch(reading, READ, heard)
    desk.reactor.call_soon(heard)
    desk.reactor.call_at(0.0, heard)
    os.write(writing, b"x")
    desk.clock.advance(10)
    assert "sessions" not in [thread.name for thread in threading.enumerate()]
    assert heard.calls == []


@pytest.mark.parametrize("has_run", [False, True])
def test_closed_one_touches_no_descriptor_that_is_anothers_now(has_run: bool) -> None:
    """The numbers it had are given away again; who calls it late must not reach their new owners."""
    desk = Desk()
    if has_run:
        desk.does()
    desk.reactor.close()
    pairs = [socket.socketpair() for _ in range(4)]
    try:
        desk.reactor.call_at(0.0, Heard())
        desk.reactor.call_soon(Heard())
        desk.clock.advance(10)
        for sock in (sock for pair in pairs for sock in pair):
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(100)
    finally:
        for sock in (sock for pair in pairs for sock in pair):
            sock.close()
