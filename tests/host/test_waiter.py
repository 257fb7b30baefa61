"""A thread that waits: woken once, whichever comes first."""

from __future__ import annotations

import threading
import time

from plugin_host.bell import Bell
from plugin_host.waiter import Waiter


def test_sleep_ends_with_the_result() -> None:
    waiter = Waiter(1)
    waiter.lie_down()
    thread = threading.Timer(0.01, waiter.set_result, ("right",))
    thread.start()
    waiter.sleep()
    waiter.get_up()
    thread.join()
    assert (waiter.is_done, waiter.result, waiter.error) == (True, "right", None)


def test_sleep_after_the_wake_does_not_wait() -> None:
    waiter = Waiter(1)
    waiter.lie_down()
    waiter.wake()
    waiter.sleep()
    assert not waiter.is_done


def test_wake_that_comes_when_the_time_was_over_does_not_end_the_next_sleep() -> None:
    waiter = Waiter(1)
    waiter.lie_down()
    waiter.sleep(0.001)
    waiter.wake()
    waiter.get_up()
    waiter.lie_down()
    begun = time.monotonic()
    waiter.sleep(0.05)
    assert time.monotonic() - begun >= 0.04


def test_error_wakes_too() -> None:
    waiter = Waiter(1)
    waiter.lie_down()
    error = LookupError("why")
    waiter.set_exception(error)
    waiter.sleep()
    assert waiter.done()
    assert waiter.error is error


def test_reports_wake_and_the_oldest_of_too_many_are_dropped() -> None:
    waiter = Waiter(1, lambda *_: None)
    waiter.lie_down()
    for number in range(2000):
        waiter.report(number, None, "")
    waiter.sleep()
    assert waiter.reports is not None
    assert len(waiter.reports) == 1000
    assert waiter.reports[-1] == (1999, None, "")


def test_reports_that_nobody_wants_are_not_kept() -> None:
    waiter = Waiter(1)
    waiter.report(1, None, "")
    assert not waiter.reports


def test_bell_that_rings_already_can_be_rung() -> None:
    bell = Bell()
    for _ in range(3):
        bell.ring()
    bell.quiet()
    bell.quiet()
    bell.close()
    bell.close()
    assert bell.fd < 0
