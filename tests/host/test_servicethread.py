"""Threads for plain services: one for each that runs, kept for the next, gone when they are idle."""

from __future__ import annotations

import asyncio
import threading

import pytest

from plugin_host import servicethread
from plugin_host.servicethread import ServiceThreads
from tests.run import Run
from tests.wait import WaitUntil


def count() -> int:
    return [thread.name for thread in threading.enumerate()].count("plugin-host-service")


def test_function_runs_beside_the_loop(run: Run) -> None:
    async def body() -> None:
        threads = ServiceThreads()
        assert count() == 0
        assert await threads.run(threading.get_ident) != threading.get_ident()
        threads.close()

    run(body())


def test_one_after_the_other_need_one_thread(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        threads = ServiceThreads()
        for _ in range(50):
            await threads.run(threading.get_ident)
            await wait_until.aio(lambda: threads._idle == 1)
            assert count() == 1
        threads.close()

    run(body())


def test_all_that_run_at_once_have_a_thread(run: Run) -> None:
    async def body() -> None:
        threads = ServiceThreads()
        together = threading.Barrier(40)
        await asyncio.gather(*(threads.run(together.wait) for _ in range(40)))
        threads.close()

    run(body())


def test_idle_threads_end(run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicethread, "_IDLE_S", 0.05)

    async def body() -> None:
        threads = ServiceThreads()
        await asyncio.gather(*(threads.run(lambda: None) for _ in range(10)))
        await wait_until.aio(lambda: count() == 0)
        assert await threads.run(lambda: 5) == 5
        threads.close()

    run(body())


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (LookupError("gone"), LookupError, "gone"),
        (StopIteration("end"), RuntimeError, "StopIteration"),
        (SystemExit(3), RuntimeError, "SystemExit: 3"),
        (KeyboardInterrupt(), RuntimeError, "KeyboardInterrupt"),
    ],
)
def test_what_it_raises_is_raised_and_never_ends_the_loop(
    run: Run, error: BaseException, kind: type[Exception], words: str
) -> None:
    def fail() -> None:
        raise error

    async def body() -> None:
        threads = ServiceThreads()
        with pytest.raises(kind, match=words):
            await threads.run(fail)
        threads.close()

    run(body())


def test_nobody_hears_what_a_cancelled_one_returns(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        threads = ServiceThreads()
        gate = threading.Event()
        future = threads.run(lambda: gate.wait(10))
        future.cancel()
        gate.set()
        assert await threads.run(lambda: 1) == 1
        threads.close()
        await wait_until.aio(lambda: count() == 0)

    run(body())


def test_function_that_outlives_its_loop_ends_quietly(run: Run, wait_until: WaitUntil) -> None:
    gate = threading.Event()

    async def body() -> None:
        threads = ServiceThreads()
        threads.run(lambda: gate.wait(10)).cancel()
        threads.close()

    run(body())
    gate.set()
    wait_until(lambda: count() == 0)


def test_function_for_which_there_is_no_thread_is_refused_and_never_runs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def body() -> None:
        threads = ServiceThreads()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                threads.run(lambda: ran.append(1))
        await threads.run(lambda: ran.append(2))
        threads.close()
        assert ran == [2]

    run(body())
