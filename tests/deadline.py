"""Ends a test that does not end by itself.

Each phase of a test (setup, call, teardown) has the test's deadline: 20 seconds, six times as much for a
property that is tried with many examples, or what ``@pytest.mark.deadline(seconds)`` says. When it passes,
an alarm raises in the main thread, so the traceback shows the line that waits; the alarm repeats, in case
something swallowed it. A hang that signals cannot reach (a C call that never returns) ends the whole run:
every thread's stack is printed and the process exits.

Owns SIGALRM and faulthandler's timer while a test runs; nothing else may use them.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from hypothesis import is_hypothesis_test

REPEAT_S = 5.0
"""Between two alarms of one phase: long enough to clean up after the first."""

OF_PROPERTIES = 6

_stderr = pytest.StashKey[int]()


class _LastResort:
    """faulthandler's timer, one to two `grace` behind the deadline.

    Setting and cancelling it make and join a thread. So it is left alone while it is good for the next
    phase, too.
    """

    def __init__(self, grace: float, stderr: int) -> None:
        self._grace = grace
        self._stderr = stderr
        self._end = 0.0

    def cover(self, seconds: float) -> None:
        """A phase begins that may take so long."""
        now = time.monotonic()
        if not self._grace <= self._end - now - seconds <= 2 * self._grace:
            self._end = now + seconds + 2 * self._grace
            faulthandler.dump_traceback_later(self._end - now, exit=True, file=self._stderr)

    def lift(self) -> None:
        """No test runs."""
        self._end = 0.0
        faulthandler.cancel_dump_traceback_later()


_last_resort = pytest.StashKey[_LastResort]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("deadline", "seconds each phase of a test may take", default="20")
    parser.addini("deadline_grace", "seconds from the deadline to the end of the run", default="15")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "deadline(seconds): how long each phase of this test may take, instead of 20"
    )
    # Capturing is off at this moment, so this is the terminal's stderr and stays it.
    stderr = config.stash[_stderr] = os.dup(2)
    config.stash[_last_resort] = _LastResort(float(config.getini("deadline_grace")), stderr)


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[_stderr])


def deadline_of(item: pytest.Item) -> float:
    """The seconds each phase of ``item`` may take."""
    mark = item.get_closest_marker("deadline")
    if mark is None:
        seconds = float(item.config.getini("deadline"))
        return seconds * OF_PROPERTIES if is_hypothesis_test(getattr(item, "obj", None)) else seconds
    (seconds,) = mark.args
    return float(seconds)


@contextmanager
def _armed(item: pytest.Item, phase: str) -> Iterator[None]:
    seconds = deadline_of(item)
    running = True

    def expire(signum: int, frame: FrameType | None) -> None:
        if running:
            # Not an Exception, so code under test that catches those does not catch this one.
            pytest.fail(f"deadline: the {phase} of this test took more than {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, expire)
    item.config.stash[_last_resort].cover(seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds, REPEAT_S)
    try:
        yield
    finally:
        running = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    try:
        return (yield)
    finally:
        item.config.stash[_last_resort].lift()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    with _armed(item, "setup"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with _armed(item, "call"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    with _armed(item, "teardown"):
        return (yield)
