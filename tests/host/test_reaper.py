"""How an exit is noticed, with pidfds and without, and that nobody else is ever signalled."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from plugin_host.exitstatus import ExitStatus
from plugin_host.reaper import Reaper
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges


@pytest.fixture(params=["pidfd", "no pidfd", "no pidfd any more"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    def refuse(pid: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    if request.param == "no pidfd":
        monkeypatch.delattr(os, "pidfd_open")
    elif request.param == "no pidfd any more":
        monkeypatch.setattr(os, "pidfd_open", refuse)
    return str(request.param)


def start(code: str, *descriptors: int) -> int:
    command = [sys.executable, "-S", "-c", code]
    child = subprocess.Popen(command, start_new_session=True, pass_fds=descriptors)
    child.returncode = 0  # the reaper waits for it
    return child.pid


def ignore(_: object) -> None:
    """Nobody to be told first."""


def steal(pid: int) -> None:
    """Do what careless code in the same process does."""
    os.waitpid(pid, 0)


async def ending(code: str, then: Callable[[Reaper], object] = ignore) -> ExitStatus:
    reaper = Reaper(start(code), ignore)
    then(reaper)
    try:
        return await reaper.exited
    finally:
        reaper.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "exited with status 0"),
        ("raise SystemExit(3)", "exited with status 3"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "killed by SIGSEGV (segmentation fault",
        ),
    ],
)
@pytest.mark.usefixtures("kind")
def test_status_is_that_of_the_child(run: Run, code: str, words: str) -> None:
    assert run(ending(code)).describe().startswith(words)


@pytest.mark.usefixtures("kind")
def test_signal_of_ours_is_known_as_ours(run: Run) -> None:
    sleep = "import time; time.sleep(60)"
    ours = run(ending(sleep, lambda reaper: reaper.send_signal(signal.SIGKILL)))
    assert (ours.signal, ours.by_us) == (signal.SIGKILL, True)
    theirs = run(ending(sleep, lambda reaper: os.kill(reaper.pid, signal.SIGKILL)))
    assert (theirs.signal, theirs.by_us) == (signal.SIGKILL, False)
    noted = run(ending("import os; os.abort()", lambda reaper: reaper.note_sent(signal.SIGTERM)))
    assert (noted.signal, noted.by_us) == (signal.SIGABRT, False)


def test_exit_wakes_the_loop_and_nothing_ticks_before(run: Run) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        timers = len(loop._scheduled)  # type: ignore[attr-defined]
        reaper = Reaper(start("import time; time.sleep(0.2)"), ignore)
        assert len(loop._scheduled) == timers  # type: ignore[attr-defined]
        await reaper.exited
        reaper.close()
        killed = Reaper(start("import time; time.sleep(60)"), ignore)
        killed.send_signal(signal.SIGKILL)
        await asyncio.wait_for(killed.exited, 10)
        killed.close()

    run(body())


@pytest.mark.usefixtures("kind")
def test_owner_learns_of_the_exit_before_those_who_wait(run: Run) -> None:
    async def body() -> None:
        order: list[str] = []
        reaper = Reaper(start(""), lambda status: order.append(status.describe()))
        reaper.exited.add_done_callback(lambda _: order.append("waiter"))
        await reaper.exited
        await asyncio.sleep(0)
        reaper.close()
        assert order == ["exited with status 0", "waiter"]

    run(body())


def test_owner_that_raises_does_not_keep_the_exit_from_the_others(run: Run) -> None:
    async def body() -> list[object]:
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(str(context["exception"]))
        )

        def on_exit(status: ExitStatus) -> None:
            raise LookupError("owner")

        reaper = Reaper(start(""), on_exit)
        await reaper.exited
        reaper.close()
        return reported

    assert run(body()) == ["owner"]


@pytest.mark.usefixtures("kind")
def test_waiter_that_is_cancelled_does_not_spoil_it_for_others(run: Run) -> None:
    async def body() -> None:
        reaper = Reaper(start("import time; time.sleep(60)"), ignore)
        waiter = asyncio.ensure_future(asyncio.wait_for(reaper.exited, timeout=0.001))
        with pytest.raises(TimeoutError):
            await waiter
        reaper.send_signal(signal.SIGKILL)
        assert (await reaper.exited).signal == signal.SIGKILL
        reaper.close()

    run(body())


def test_waiter_cancelled_last_leaves_the_status_to_those_who_ask_later(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        reaper = Reaper(start(""), ignore)
        reaper.exited.cancel()
        old = reaper._exited
        await wait_until.aio(lambda: reaper.status is not None)
        assert old.cancelled()
        assert (await reaper.exited).code == 0
        reaper.close()

    run(body())


@pytest.mark.usefixtures("kind")
def test_reaped_child_is_never_signalled(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        reaper = Reaper(start(""), ignore)
        await reaper.exited

        def refuse(*_: object) -> None:
            pytest.fail("signalled a number that may be another process by now")

        monkeypatch.setattr(os, "kill", refuse)
        monkeypatch.setattr(os, "killpg", refuse)
        assert not reaper.send_signal(signal.SIGKILL)
        assert not reaper.send_group_signal(signal.SIGKILL)
        reaper.close()
        assert not reaper.send_group_signal(signal.SIGKILL)

    run(body())


@pytest.mark.usefixtures("kind")
def test_status_that_somebody_else_took_is_lost_and_not_waited_for(run: Run) -> None:
    async def body() -> ExitStatus:
        reaper = Reaper(start(""), ignore)
        steal(reaper.pid)
        try:
            assert not reaper.send_signal(signal.SIGTERM)
            return await reaper.exited
        finally:
            reaper.close()

    assert run(body()) == ExitStatus.lost()


@pytest.mark.usefixtures("kind")
def test_group_of_a_running_child_is_signalled(run: Run) -> None:
    async def body() -> None:
        reaper = Reaper(start("import time; time.sleep(60)"), ignore)
        assert reaper.send_group_signal(signal.SIGTERM)
        status = await reaper.exited
        assert (status.signal, status.by_us) == (signal.SIGTERM, True)
        reaper.close()

    run(body())


def test_group_outlives_its_leader_and_can_still_be_signalled(run: Run) -> None:
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 9):
        pytest.skip("this kernel cannot signal a group by its leader's pidfd")

    async def body() -> None:
        fd, end = os.pipe()
        pid = start(f"import os, time; os.fork() or time.sleep(60); os.write({end}, b'x')", end)
        os.close(end)
        reaper = Reaper(pid, ignore)
        assert (await reaper.exited).code == 0
        assert reaper.send_group_signal(signal.SIGKILL)
        assert os.read(fd, 10) == b"x"
        assert os.read(fd, 10) == b""  # the grandchild held the other end
        os.close(fd)
        reaper.close()

    run(body())


@pytest.mark.usefixtures("kind")
def test_closing_before_the_exit_still_reaps(run: Run) -> None:
    async def body() -> None:
        reaper = Reaper(start("import time; time.sleep(60)"), ignore)
        reaper.close()
        reaper.send_signal(signal.SIGKILL)
        await reaper.exited

    run(body())


@pytest.mark.deadline(60)
def test_hundred_children_need_no_thread(run: Run) -> None:
    async def body() -> int:
        threads = threading.active_count()
        reapers = [Reaper(start("import time; time.sleep(60)"), ignore) for _ in range(100)]
        assert threading.active_count() == threads
        for reaper in reapers:
            reaper.send_signal(signal.SIGKILL)
        statuses = await asyncio.gather(*(reaper.exited for reaper in reapers))
        assert threading.active_count() == threads
        for reaper in reapers:
            reaper.close()
        return sum(status.by_us for status in statuses)

    assert run(body()) == 100


def test_child_that_outgrows_the_host_shows_its_peak_memory(run: Run) -> None:
    async def body() -> tuple[ExitStatus, ExitStatus]:
        import resource

        floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        big = Reaper(start(f"bytearray({floor + (32 << 20)})[:] = b'x'"), ignore, memory_floor=floor)
        small = Reaper(start(""), ignore, memory_floor=floor)
        statuses = await big.exited, await small.exited
        big.close()
        small.close()
        assert statuses[0].peak_memory is not None
        assert statuses[0].peak_memory > floor + (32 << 20)
        return statuses

    statuses = run(body())
    assert statuses[1].peak_memory is None
    assert statuses[0].cpu_s is not None
    assert statuses[0].cpu_s > 0
