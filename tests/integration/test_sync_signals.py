"""Exceptions that handlers of signals raise anywhere in a call: nothing hangs, and the counts are right."""

from __future__ import annotations

import pytest

from tests.syncstage import program

pytestmark = [pytest.mark.edges, pytest.mark.deadline(60)]

# Interrupts `use` at random moments for `seconds`; how often it came through.
STORM = """
import random, signal

# Whoever runs the tests may ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

def storm(use, seconds, error):
    count = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0002, 0.003))
                while True:
                    use()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except error:
            count += 1
    return count
"""


def test_interrupts_tear_no_start_of_a_call_from_its_end() -> None:
    done = program(
        STORM
        + """
with blocking("steady") as host:
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    count = storm(lambda: host.call("steady", "echo", {"value": 1}), 1.5, KeyboardInterrupt)
    assert count > 100, count
    assert host.call("steady", "echo", {"value": 1}) == 1
    figures = host.metrics()["plugins"]["steady"]["calls"]["echo"]
    assert figures["in_flight"] == 0, figures
    assert figures["started"] == figures["finished"] > count, figures
    assert list(figures["failures"]) == ["rpc.cancelled"], figures
    print("even")
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "even\n", "")


def test_exceptions_of_other_signals_hang_nothing_that_the_loop_does() -> None:
    done = program(
        STORM
        + """
class Alarm(Exception):
    pass

def ring(*_):
    raise Alarm

with blocking("steady") as host:
    signal.signal(signal.SIGALRM, ring)
    assert storm(host.sessions, 1.5, Alarm) > 100
    assert host.sessions() == []
    assert host.call("steady", "echo", {"value": 1}) == 1
    print("goes on")
"""
    )
    assert (done.returncode, done.stdout) == (0, "goes on\n"), done.stderr
