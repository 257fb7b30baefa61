"""The life of a child of the forkserver's, as the host sees it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from plugin_host.channel import open_socketpair
from plugin_host.exitstatus import ExitStatus
from plugin_host.process import PluginProcess
from plugin_host.stderr import StderrReader
from plugin_host.warm import childreaper
from plugin_host.warm.childreaper import ChildReaper, Record
from tests.run import Run
from tests.wait import WaitUntil


class Answering:
    """A parent that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Callable[[Record | None], None]] = []

    def take(self, pid: int, told: Callable[[Record | None], None]) -> None:
        self.asked.append(told)

    def bury(self, child: ChildReaper) -> None:
        raise AssertionError("it has no spares")


USAGE = resource.struct_rusage((1.0, 0.5, 2048, *([0] * 13)))


def child() -> tuple[int, int]:
    """A child that ends when it is killed, with its pidfd."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(1)
    return pid, os.pidfd_open(pid)


async def ended(reaper: ChildReaper, parent: Answering, wait_until: WaitUntil) -> None:
    reaper.send_signal(signal.SIGKILL)
    await wait_until.aio(lambda: parent.asked)


def reap(pid: int) -> tuple[int, Any]:
    _, status, usage = os.wait4(pid, 0)
    return status, usage


def test_status_is_the_one_that_the_parent_tells(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        pid, pidfd = child()
        parent = Answering()
        seen: list[ExitStatus] = []
        reaper = ChildReaper(pid, pidfd, parent, seen.append)
        await ended(reaper, parent, wait_until)
        assert not seen  # nobody has said how
        status, _ = reap(pid)
        parent.asked[0](Record(status, USAGE))
        expected = ExitStatus(None, signal.SIGKILL, peak_memory=2 << 20, cpu_s=1.5, by_us=True)
        assert reaper.status == await reaper.exited == seen[0] == expected
        reaper.close()

    run(body())


@pytest.mark.parametrize("answers", [True, False])
def test_status_that_the_parent_does_not_know_is_told_as_lost(
    run: Run, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil, answers: bool
) -> None:
    monkeypatch.setattr(childreaper, "ANSWER_S", 0.05)

    async def body() -> None:
        pid, pidfd = child()
        parent = Answering()
        reaper = ChildReaper(pid, pidfd, parent, lambda status: None)
        await ended(reaper, parent, wait_until)
        reap(pid)
        if answers:
            parent.asked[0](None)
        status = await reaper.exited
        assert (status.code, status.signal) == (None, None)
        assert "status lost (the helper process" in status.describe()
        parent.asked[0](Record(0, USAGE))  # too late
        assert reaper.status == status
        assert reaper.send_signal(signal.SIGTERM) is False
        reaper.close()

    run(body())


def test_child_that_has_become_the_hosts_own_is_reaped_by_it(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        pid, pidfd = child()
        parent = Answering()
        reaper = ChildReaper(pid, pidfd, parent, lambda status: None)
        await ended(reaper, parent, wait_until)
        parent.asked[0](None)
        status = await reaper.exited
        assert (status.signal, status.by_us) == (signal.SIGKILL, True)
        assert status.peak_memory
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        reaper.close()

    run(body())


def test_child_that_was_given_up_is_no_zombie_when_it_becomes_the_hosts_own(
    run: Run, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(childreaper, "ANSWER_S", 0.01)

    async def body() -> None:
        pid, pidfd = child()
        parent = Answering()
        reaper = ChildReaper(pid, pidfd, parent, lambda status: None)
        await ended(reaper, parent, wait_until)
        lost = await reaper.exited
        reaper.close()
        parent.asked[0](None)
        assert reaper.status == lost
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(pidfd)

    run(body())


def test_process_that_has_ended_is_not_said_to_run_while_its_status_is_asked_for(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        pid, pidfd = child()
        parent = Answering()
        channel, ends = open_socketpair()
        read, write = os.pipe()
        os.close(write)
        start: Any = SimpleNamespace(reaper=lambda on_exit: ChildReaper(pid, pidfd, parent, on_exit))
        stderr = StderrReader(read, asyncio.get_running_loop(), lambda line: None)
        process = PluginProcess(pid, channel, stderr, start=start)
        process.send_signal(signal.SIGKILL)
        await wait_until.aio(lambda: parent.asked)
        waiting = asyncio.ensure_future(process.wait(0.0))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        status, _ = reap(pid)
        parent.asked[0](Record(status, USAGE))
        assert await waiting == process.status
        process.close()
        ends.close()

    run(body())
