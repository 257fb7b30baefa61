"""How serving ends: which reason stays, and how long the last calls get."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from plugin_host_sdk.runtime.ending import DEFAULT_GRACE, HOST_LOST_GRACE, LONGEST_GRACE, Ending


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
    assert (ending.msgid, ending.grace, ending.reason) == (None, HOST_LOST_GRACE, "the host is gone")


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
