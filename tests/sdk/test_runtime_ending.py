"""How serving ends: which reason stays, and how long the last calls get."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from plugin_host_sdk.runtime import serve
from plugin_host_sdk.runtime.ending import DEFAULT_GRACE, LONGEST_GRACE, Ending


def test_nothing_is_asked_at_first() -> None:
    ending = Ending()
    assert not ending.is_asked
    assert ending.msgid is None


def test_shutdown_asks_with_the_hosts_grace() -> None:
    ending = Ending()
    ending.request(5, 250)
    assert ending.is_asked
    assert (ending.msgid, ending.grace) == (5, 0.25)
    assert ending.reason == "the host is stopping this plugin"
    ending.wait()


@pytest.mark.parametrize("grace", [None, "soon", -1, [1], float("nan")])
def test_grace_that_is_none_is_the_default(grace: Any) -> None:
    ending = Ending()
    ending.request(5, grace)
    assert ending.grace == DEFAULT_GRACE


@pytest.mark.parametrize("grace", [1e18, 2**64, float("inf")])
def test_grace_without_end_is_bounded(grace: Any) -> None:
    ending = Ending()
    ending.request(5, grace)
    assert ending.grace == LONGEST_GRACE
    ending.note_idle()
    assert ending.wait_idle(ending.grace)


def test_lost_host_gives_little_grace() -> None:
    ending = Ending()
    ending.lose("the host is gone")
    assert ending.is_asked
    assert (ending.msgid, ending.grace, ending.reason) == (None, 0.5, "the host is gone")


class Clock:
    """A server that ends, and whose every wait takes what it may take; no time passes but `now`."""

    def __init__(self, ending: Ending, closing_takes: float) -> None:
        self.now = 100.0
        self.ending = ending
        self.running = {7: "a call that never ends"}
        self.wiring = SimpleNamespace(drain=lambda: None)
        self.told = ""
        self._closing_takes = closing_takes
        ending.wait_idle = self._pass  # type: ignore[method-assign]

    def _pass(self, seconds: float) -> bool:
        self.now += seconds
        return False

    def cancel_all(self, reason: str) -> None:
        self.told = reason

    def close_capabilities(self, seconds: float) -> None:
        self.now += min(seconds, self._closing_takes)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("closing_takes", [0.0, 0.2, 60.0])
def test_all_that_runs_has_half_a_second_when_the_host_is_lost(
    monkeypatch: pytest.MonkeyPatch, closing_takes: float
) -> None:
    ending = Ending()
    ending.lose("the host is gone")
    clock = Clock(ending, closing_takes)
    monkeypatch.setattr(serve, "monotonic", lambda: clock.now)
    assert serve._end(clock) == 0
    assert clock.told == "the host is gone"
    assert clock.now - 100 == pytest.approx(0.5)


def test_reason_that_came_first_stays() -> None:
    ending = Ending()
    ending.request(5, 100)
    ending.lose("the host is gone")
    assert (ending.reason, ending.grace) == ("the host is stopping this plugin", 0.1)
    other = Ending()
    other.lose("the host is gone")
    other.request(5, 100)
    assert other.reason == "the host is gone"


def test_wait_ends_when_it_is_asked_from_another_thread() -> None:
    ending = Ending()
    threading.Timer(0.01, ending.lose, ["gone"]).start()
    ending.wait()
    assert ending.reason == "gone"


def test_idle_counts_from_the_asking_on() -> None:
    ending = Ending()
    ending.note_idle()
    ending.request(5, 20)
    began = time.monotonic()
    assert not ending.wait_idle(ending.grace)
    assert time.monotonic() - began >= 0.02
    ending.note_idle()
    assert ending.wait_idle(ending.grace)
