"""One look at the machine for all: how old it may be, and how often there is another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from plugin_host_sdk.exec.lookout import Lookout
from plugin_host_sdk.exec.processtable import ProcessTable


class Machine:
    """The clock, and what a look costs of it; `looks` is when they began."""

    def __init__(self, cost: float = 0.01) -> None:
        self.now = 100.0
        self.cost = cost
        self.looks: list[float] = []
        self.lookout = Lookout(self.read, lambda: self.now)

    def read(self) -> ProcessTable:
        self.looks.append(self.now)
        self.now += self.cost
        return ProcessTable(())


def test_table_serves_all_who_come_a_moment_later() -> None:
    machine = Machine()
    first = machine.lookout.recent(0)
    machine.now += 0.03
    assert machine.lookout.recent(0) is first
    assert machine.lookout.after(100.0) is first
    assert machine.looks == [100.0]


def test_old_table_is_replaced() -> None:
    machine = Machine()
    first = machine.lookout.recent(0)
    machine.now += 1
    assert machine.lookout.recent(0) is not first


def test_who_must_be_in_it_is_in_it() -> None:
    """Whatever that costs: a process that a table does not know would be forgotten."""
    machine = Machine(1.0)
    for _ in range(5):
        since = machine.now
        machine.lookout.recent(since)
        assert machine.looks[-1] >= since
    assert len(machine.looks) == 5


def test_first_looks_follow_each_other_at_once() -> None:
    machine = Machine(0.003)
    for _ in range(3):
        assert machine.lookout.after(machine.now) is not None
    assert len(machine.looks) == 3


@pytest.mark.parametrize("cost", [0.001, 0.01, 0.05])
def test_looks_take_a_fifth_of_the_time(cost: float) -> None:
    machine = Machine(cost)
    while machine.now < 110:
        if machine.lookout.after(machine.now) is None:
            machine.now += 0.001
        machine.lookout.recent(0)
    assert 0.15 * 10 < len(machine.looks) * cost < 0.2 * 10 + 0.2


def test_rest_is_never_long() -> None:
    machine = Machine(3.0)
    machine.lookout.recent(0)
    wanted = machine.now
    while machine.lookout.after(wanted) is None:
        machine.now += 0.01
    assert machine.looks[-1] - wanted < 0.3


def test_machine_that_cannot_be_looked_at_is_tried_again() -> None:
    refusals = [OSError(24, "no descriptors"), OSError(24, "no descriptors")]

    def read() -> ProcessTable:
        if refusals:
            raise refusals.pop()
        return ProcessTable(())

    lookout = Lookout(read)
    with pytest.raises(OSError, match="no descriptors"):
        lookout.recent(0)
    with pytest.raises(OSError, match="no descriptors"):
        lookout.after(0)
    assert lookout.after(0) is lookout.recent(0)


class Queue:
    """The lock of a lookout, that knows how many have come to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._come = threading.Semaphore(0)

    def __enter__(self) -> None:
        self._come.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self._come.acquire(timeout=15)


@pytest.mark.parametrize("cost", [0.01, 1.0])
def test_those_who_ask_at_the_same_time_share_a_look(cost: float) -> None:
    """All have asked before the look of the first ends, however long that takes."""
    machine, queue, go = Machine(cost), Queue(), threading.Event()
    look = machine.read

    def read() -> ProcessTable:
        assert go.wait(15)
        return look()

    machine.lookout = Lookout(read, lambda: machine.now)
    machine.lookout._lock = queue  # type: ignore[assignment]
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(machine.lookout.recent, 0.0) for _ in range(16)]
        queue.wait_for(16)
        go.set()
        assert len({id(one.result()) for one in asked}) == 1
    assert machine.looks == [100.0]
