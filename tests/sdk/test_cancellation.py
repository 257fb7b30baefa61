"""The flag that tells a handler that nobody waits for it."""

from __future__ import annotations

import threading
import time

import pytest

from plugin_host_sdk.cancellation import Cancellation
from tests.wait import WaitUntil


def test_it_is_false_until_it_is_set_and_the_first_reason_stays() -> None:
    cancelled = Cancellation()
    assert (bool(cancelled), cancelled.is_set()) == (False, False)
    assert repr(cancelled) == "<Cancellation not set>"
    cancelled.set("first")
    cancelled.set("second")
    assert (bool(cancelled), cancelled.is_set()) == (True, True)
    assert cancelled.reason == "first"
    assert repr(cancelled) == "<Cancellation first>"


def test_wait_ends_with_the_time_or_with_the_cancel() -> None:
    cancelled = Cancellation()
    assert cancelled.wait(0) is False
    assert cancelled.wait(0.01) is False
    threading.Timer(0.02, cancelled.set, ["now"]).start()
    began = time.monotonic()
    assert cancelled.wait(10) is True
    assert time.monotonic() - began < 5
    assert cancelled.wait(10) is True
    assert cancelled.wait() is True


def test_all_who_wait_are_woken(wait_until: WaitUntil) -> None:
    for _ in range(50):
        cancelled = Cancellation()
        woken: list[bool] = []
        together = threading.Barrier(4)

        def wait(
            cancelled: Cancellation = cancelled,
            woken: list[bool] = woken,
            together: threading.Barrier = together,
        ) -> None:
            together.wait()
            woken.append(cancelled.wait(10))

        threads = [threading.Thread(target=wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        together.wait()
        cancelled.set("now")
        for thread in threads:
            thread.join(5)
        assert woken == [True, True, True]


def test_listeners_hear_of_it_once_and_late_ones_at_once() -> None:
    cancelled = Cancellation()
    heard: list[str] = []
    cancelled.listen(lambda: heard.append("early"))
    cancelled.set("now")
    cancelled.set("again")
    cancelled.listen(lambda: heard.append("late"))
    assert heard == ["early", "late"]


def test_one_who_stopped_listening_hears_nothing() -> None:
    cancelled = Cancellation()
    heard: list[str] = []

    def listen() -> None:
        heard.append("heard")

    cancelled.listen(listen)
    cancelled.forget(listen)
    cancelled.forget(listen)
    cancelled.set("now")
    assert heard == []


def test_listener_that_stops_listening_keeps_no_other_from_hearing() -> None:
    cancelled = Cancellation()
    heard: list[int] = []

    def first() -> None:
        heard.append(1)
        cancelled.forget(first)

    cancelled.listen(first)
    cancelled.listen(lambda: heard.append(2))
    cancelled.listen(lambda: heard.append(3))
    cancelled.set("now")
    assert heard == [1, 2, 3]


def test_listener_that_raises_is_shown_and_spoils_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    cancelled = Cancellation()
    heard: list[int] = []

    def fail() -> None:
        raise LookupError("a bug of the author")

    cancelled.listen(fail)
    cancelled.listen(lambda: heard.append(2))
    cancelled.set("now")
    assert heard == [2]
    assert "LookupError: a bug of the author" in capsys.readouterr().err
