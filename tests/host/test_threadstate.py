"""What threads do, as the kernel sees it: the words for it, and real processes in every state."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from plugin_host import threadstate
from plugin_host.threadstate import MOST_THREADS, ProcessState, ThreadState, catches, look, observe
from tests.run import Run
from tests.wait import WaitUntil


def thread(tid: int = 1, state: str = "S", **values: Any) -> ThreadState:
    return ThreadState(tid=tid, name="python", state=state, started=0, **values)


BUSY = thread(2, "R", share=0.98)


# Words.


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (BUSY, "computes, 98% of a processor"),
        (thread(state="R", share=0.1, wish=0.9), "computes, 10% of a processor"),
        (thread(state="R", share=0.02, wish=0.9), "runs at times"),
        (thread(share=0.02, wish=0.1, turns=1800, place="futex_do_wait"), "waits for the interpreter"),
        (thread(state="R", share=0.02, wish=0.1, turns=1800), "waits for the interpreter"),
        (thread(turns=100, place="futex_do_wait"), "waits for a lock"),
        (thread(place="futex_wait_queue_me"), "waits for a lock"),
        (thread(place="hrtimer_nanosleep"), "sleeps"),
        (thread(place="poll_schedule_timeout.constprop.0"), "waits for input"),
        (thread(place="anon_pipe_read"), "reads from a pipe"),
        (thread(place="do_wait"), "waits for a child"),
        (thread(place="something_new"), "sleeps"),
        (thread(), "sleeps"),
        (thread(state="R"), "runs at times"),
        (thread(state="T"), "is stopped"),
        (thread(state="t"), "is stopped by a debugger"),
        (thread(state="D", place="rpc_wait_bit"), "is in uninterruptible sleep in rpc_wait_bit"),
        (thread(state="D"), "is in uninterruptible sleep"),
    ],
)
def test_thread_is_told_in_words(one: ThreadState, words: str) -> None:
    assert one.describe() == words


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ProcessState(is_known=False), "unknown"),
        (ProcessState(), "it has ended"),
        (ProcessState((thread(state="Z"),), is_dead=True), "it has ended"),
        (ProcessState((thread(state="T"), thread(2, "T"))), "stopped by a signal such as SIGSTOP"),
        (ProcessState((thread(state="t"),)), "stopped by a debugger"),
        (ProcessState((thread(), thread(7, "D"))), "thread 7 is in uninterruptible sleep"),
        (ProcessState((thread(), BUSY)), "busy: one thread uses 98% of a processor"),
        (ProcessState((BUSY, BUSY)), "busy: 2 threads use 196% of a processor"),
        (ProcessState((thread(), thread(2))), "all 2 threads sleep"),
        (ProcessState((thread(place="do_wait"),)), "its only thread waits for a child"),
        (ProcessState((thread(state="T"), thread(2))), "all 2 threads sleep"),
    ],
)
def test_process_is_told_in_words(state: ProcessState, words: str) -> None:
    assert state.describe() == words


def test_who_waits_for_a_turn_does_not_wait_for_a_lock() -> None:
    waiting = thread(turns=1800, place="futex_do_wait")
    assert (waiting.waits_for_turn, waiting.waits_for_lock) == (True, False)
    locked = thread(turns=3, place="futex_do_wait")
    assert (locked.waits_for_turn, locked.waits_for_lock) == (False, True)
    assert not BUSY.waits_for_turn


# Real processes.


@pytest.fixture
def child() -> Iterator[Any]:
    """Starts Python programs and ends them."""
    made: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> int:
        command = [sys.executable, "-S", "-c", code + "\nprint(flush=True)\n" + AFTER]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        made.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    yield start
    for process in made:
        process.kill()
        process.communicate()


AFTER = "run()"
SLEEPING = "import time\ndef run(): time.sleep(60)"
BUSY_CODE = "def run():\n while True: pass"
READING = "import os\ndef run(): os.read(0, 1)"
LOCKED = "import _thread\nlock = _thread.allocate_lock()\ndef run(): lock.acquire(); lock.acquire()"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (SLEEPING, "its only thread sleeps"),
        (READING, "its only thread reads from a pipe"),
        (LOCKED, "its only thread waits for a lock"),
    ],
    ids=["sleeping", "reading", "locked"],
)
def test_waiting_process_is_seen_to_wait(
    run: Run, wait_until: WaitUntil, child: Any, code: str, words: str
) -> None:
    pid = child(code)

    async def says() -> bool:
        return (await observe(pid, 0.02)).describe() == words

    run(wait_until.aio(says))


def test_computing_process_is_seen_to_compute(run: Run, child: Any, wait_until: WaitUntil) -> None:
    pid = child(BUSY_CODE)

    async def says() -> bool:
        return (await observe(pid, 0.1)).describe().startswith("busy: one thread uses ")

    run(wait_until.aio(says))


def test_stopped_process_is_seen_to_be_at_the_first_look(
    run: Run, child: Any, wait_until: WaitUntil
) -> None:
    pid = child(BUSY_CODE)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: look(pid).is_stopped)
    began = time.monotonic()
    state = run(observe(pid, 60))
    assert state.describe() == "stopped by a signal such as SIGSTOP"
    assert time.monotonic() - began < 10


def test_dead_process_that_nobody_reaped_has_ended(run: Run, child: Any, wait_until: WaitUntil) -> None:
    pid = child("import os\ndef run(): os._exit(0)")
    wait_until(lambda: look(pid).is_dead)
    assert run(observe(pid, 60)).describe() == "it has ended"


def test_process_that_is_gone_has_ended(run: Run) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert run(observe(process.pid, 60)).describe() == "it has ended"
    assert look(process.pid).threads == ()


def test_process_that_ends_between_the_looks_has_ended(run: Run, child: Any) -> None:
    pid = child(SLEEPING)

    async def body() -> ProcessState:
        observing = asyncio.create_task(observe(pid, 0.2))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        return await observing

    assert run(body()).describe() == "it has ended"


def test_every_thread_is_seen_with_its_number_and_name(run: Run) -> None:
    gate = threading.Event()
    others = [threading.Thread(target=gate.wait) for _ in range(3)]
    for other in others:
        other.start()
    state = run(observe(os.getpid(), 0.01))
    gate.set()
    found = {one.tid for one in state.threads}
    assert {other.native_id for other in others} < found
    assert threading.main_thread().native_id in found
    for other in others:
        other.join()


def test_threads_beyond_the_bound_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_THREADS >= 100  # as many as faulthandler writes
    monkeypatch.setattr(threadstate, "MOST_THREADS", 1)
    gate = threading.Event()
    other = threading.Thread(target=gate.wait)
    other.start()
    state = look(os.getpid())
    gate.set()
    other.join()
    assert [one.tid for one in state.threads] == [os.getpid()]


def test_name_of_a_thread_may_hold_anything(run: Run, child: Any) -> None:
    code = "open('/proc/self/comm', 'w').write(') R 1 (')\n" + SLEEPING
    pid = child(code)
    for _ in range(500):  # until it sleeps
        (one,) = run(observe(pid, 0.01)).threads
        if one.state == "S":
            break
    assert (one.name, one.state) == (") R 1 (", "S")


def test_without_schedstat_times_are_those_of_stat(
    run: Run, child: Any, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    read = threadstate._read
    monkeypatch.setattr(threadstate, "_read", lambda path: "" if path.endswith("schedstat") else read(path))
    pid = child(BUSY_CODE)

    async def computes() -> bool:
        # However little the machine has for it: one that waits has nothing at all.
        return (await observe(pid, 0.2)).threads[0].share > 0

    run(wait_until.aio(computes))


def test_without_a_descriptor_to_look_with_nobody_is_said_to_have_ended(run: Run) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def body() -> ProcessState:
        watching = asyncio.create_task(observe(os.getpid(), 0.01))
        await asyncio.sleep(0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
        try:
            assert look(os.getpid()).is_known is False
            return await watching
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)

    assert run(body()).is_known is False


def test_where_there_is_no_proc_nothing_is_known(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threadstate, "_HAS_PROC", False)
    assert run(observe(1, 60)).describe() == "unknown"
    assert look(1).is_known is False
    assert catches(1, signal.SIGTERM) is None


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGRTMIN + 1])
def test_handler_of_a_signal_is_seen(child: Any, number: int) -> None:
    code = f"import signal\nsignal.signal({int(number)}, lambda *_: None)\n{SLEEPING}"
    assert catches(child(code), number) is True
    assert catches(child(SLEEPING), number) is False
