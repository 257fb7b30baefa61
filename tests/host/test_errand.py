"""What a loop does for a thread: it ends, and whatever is raised in who waits does not reach the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from plugin_host.errors import CallCancelled
from plugin_host.sync.errand import Errand
from plugin_host.sync.loopthread import LoopThread
from tests.wait import WaitUntil


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    made = LoopThread("loop", lambda: None)
    yield made
    made.close()


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def fail() -> None:
    raise LookupError("nothing there")


def test_result_can_be_asked_for_again(thread: LoopThread) -> None:
    errand = thread.submit(double(4))
    assert [errand.result(), errand.result()] == [8, 8]
    assert errand.is_done
    failing = thread.submit(fail())
    for _ in range(2):
        with pytest.raises(LookupError, match="nothing there"):
            failing.result()


def test_all_who_wait_are_told(thread: LoopThread) -> None:
    gate = asyncio.Event()
    results = []

    async def wait() -> int:
        await gate.wait()
        return 7

    errand = thread.submit(wait())
    waiting = [threading.Thread(target=lambda: results.append(errand.result())) for _ in range(5)]
    for one in waiting:
        one.start()

    async def open_gate() -> None:
        gate.set()

    thread.run(open_gate())
    for one in waiting:
        one.join()
    assert results == [7] * 5


def test_cancelled_one_ends_and_tells_that_it_has(thread: LoopThread, wait_until: WaitUntil) -> None:
    told: list[bool] = []
    errand = thread.submit(asyncio.sleep(60), lambda: told.append(True))
    errand.cancel()
    with pytest.raises(CancelledError):
        errand.result()
    wait_until(lambda: told == [True])
    errand.cancel()


def test_end_of_the_loop_ends_what_it_was_doing() -> None:
    thread = LoopThread("loop", lambda: None)
    errand: Errand[None] = thread.submit(asyncio.sleep(60))
    thread.close()
    with pytest.raises(CallCancelled, match="closed meanwhile"):
        thread.result(errand)


def test_lock_that_an_interrupted_call_left_locked_holds_up_no_other(thread: LoopThread) -> None:
    """An exception in the midst of `Event.wait` leaves the lock of its condition locked."""
    assert thread.run(double(1)) == 2
    results = []
    with thread._is_up._cond:  # type: ignore[attr-defined]
        other = threading.Thread(target=lambda: results.append(thread.run(double(2))), daemon=True)
        other.start()
        other.join(5)
    assert results == [4]


def test_interrupt_of_the_start_leaves_a_thread_that_can_be_started(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def before(self: threading.Thread) -> None:
        raise KeyboardInterrupt

    def after(self: threading.Thread) -> None:
        start(self)
        raise KeyboardInterrupt

    for interrupted in (before, after):
        monkeypatch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            thread.run(double(1))
        monkeypatch.setattr(threading.Thread, "start", start)
    assert thread.run(double(4)) == 8
    assert thread.run(double(5)) == 10
