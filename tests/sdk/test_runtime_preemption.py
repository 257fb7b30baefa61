"""Who is excused for a run that lasted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from plugin_host_sdk.runtime import preemption
from plugin_host_sdk.runtime.preemption import Preemptions


@pytest.fixture
def switches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often this thread has lost its processor; the last item counts."""
    counts = [0]
    monkeypatch.setattr(preemption, "_switches", lambda: counts[-1])
    return counts


def test_run_is_excused_when_the_processor_was_taken_meanwhile(switches: list[int]) -> None:
    preemptions = Preemptions()
    switches.append(1)
    assert preemptions.excuse()


def test_run_is_not_excused_by_what_excused_an_earlier_one(switches: list[int]) -> None:
    preemptions = Preemptions()
    switches.append(3)
    assert preemptions.excuse()
    assert not preemptions.excuse()
    switches.append(4)
    assert preemptions.excuse()


def test_run_that_kept_its_processor_is_slow_itself(switches: list[int]) -> None:
    assert not Preemptions().excuse()
    assert not Preemptions().excuse(answered=1000)


def test_second_slow_run_soon_after_the_first_is_no_accident(switches: list[int]) -> None:
    preemptions = Preemptions()
    switches.append(1)
    assert preemptions.excuse(answered=100)
    switches.append(2)
    assert not preemptions.excuse(answered=131)
    switches.append(3)
    assert preemptions.excuse(answered=163)


def test_system_tells_of_the_switches_of_a_thread() -> None:
    def told() -> int:
        status = Path("/proc/thread-self/status").read_text()
        return int(status.partition("nonvoluntary_ctxt_switches:")[2].split()[0])

    before = told()
    assert before <= preemption._switches() <= told()


def test_nobody_is_excused_while_nothing_can_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert not Preemptions().excuse(1000)
