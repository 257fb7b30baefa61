"""Stopping real process trees: each step ends what it can, in its time, and nothing is ever left."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from plugin_host import ladder, reaper, tree
from plugin_host.exitstatus import ExitStatus
from plugin_host.ladder import GRACE_S, KILL_S, StopReport, stop
from plugin_host.process import PluginProcess
from plugin_host.tree import ProcessIdentity
from tests.host.child import ECHO, READY, TOKEN, WAIT, Child, spec
from tests.run import Run
from tests.wait import WaitUntil

DEAF = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
"""The start of a program that ignores SIGTERM."""

POLITE = "import os, signal, sys" + READY + "os.read(0, 100)\n"
"""A program that ends when it is sent anything."""

AT_ONCE_S = 10.0  # much less than any step may last there, and enough for a busy machine

LEAVE_GRANDCHILD = (
    """
import os, signal, sys
pid = os.fork()
if not pid:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.setsid() if "daemon" in sys.argv else None
    sys.stderr.write("deaf\\n")
    while True: signal.pause()
sys.stderr.write(f"grandchild {pid}\\n")
"""
    + READY
    + "os.read(0, 100)\n"
)
"""A program whose child ignores SIGTERM and keeps every pipe open; ends when it is sent anything."""


def ask(process: PluginProcess) -> Callable[[], Awaitable[None]]:
    """A polite request: the programs above end when they are sent anything."""

    async def polite() -> None:
        process.channel.send(b"please")

    return polite


async def hang() -> None:
    await asyncio.Event().wait()


async def refuse() -> None:
    raise ConnectionError("it does not answer")


async def agree() -> None:
    """Answer, and do nothing of the kind."""


async def started(wait_until: WaitUntil, code: str, *arguments: str, said: str = "ready") -> Child:
    child = Child(spec(code, *arguments, channel="pipes"))
    await wait_until.aio(child.said(said))
    return child


def names(processes: tuple[ProcessIdentity, ...]) -> list[int]:
    return [process.pid for process in processes]


def nothing_is_left(child: Child) -> bool:
    return not tree.snapshot(child.process.identity) and not tree.marked(TOKEN)


def test_plugin_that_leaves_when_asked_is_not_signalled(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = await started(wait_until, POLITE)
        report = await stop(child.process, polite=ask(child.process), timeout_s=60, mark=TOKEN)
        assert report.step == "polite request"
        assert report.clean
        assert report.terminated == ()
        assert report.status is not None
        assert report.status.ok
        assert report.took_s < AT_ONCE_S
        assert nothing_is_left(child)
        child.process.close()

    run(body())


@pytest.mark.parametrize("polite", [hang, agree])
def test_closed_stdin_comes_after_the_polite_requests_time(
    run: Run, wait_until: WaitUntil, polite: Callable[[], Awaitable[None]]
) -> None:
    async def body() -> None:
        child = await started(wait_until, "import sys" + READY + ECHO)
        report = await stop(child.process, polite=polite, timeout_s=2, mark=TOKEN)
        assert report.step == "close stdin"
        assert report.clean
        assert report.took_s >= 0.8
        child.process.close()

    run(body())


def test_closed_stdin_comes_at_once_when_the_polite_request_fails(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = await started(wait_until, "import sys" + READY + ECHO)
        report = await stop(child.process, polite=refuse, timeout_s=60, mark=TOKEN)
        assert report.step == "close stdin"
        assert report.took_s < AT_ONCE_S
        child.process.close()

    run(body())


def test_peer_without_a_polite_request_ends_by_its_stdin(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = await started(wait_until, "import sys" + READY + ECHO)
        report = await stop(child.process, polite=None, timeout_s=60, mark=None)
        assert report.step == "close stdin"
        assert report.took_s < AT_ONCE_S
        child.process.close()

    run(body())


def test_sigterm_comes_after_stdin(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = await started(wait_until, WAIT)
        report = await stop(child.process, polite=hang, timeout_s=1, mark=TOKEN)
        assert report.step == "SIGTERM"
        assert report.clean
        assert names(report.terminated) == [child.process.pid]
        assert report.took_s >= 0.6
        assert report.status is not None
        assert report.status.describe() == "killed by SIGTERM (terminated)"
        child.process.close()

    run(body())


def test_sigkill_comes_last_and_is_known_as_ours(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = await started(wait_until, DEAF + WAIT)
        report = await stop(child.process, polite=hang, timeout_s=0.3, mark=TOKEN)
        assert report.step == "SIGKILL"
        assert names(report.killed) == names(report.terminated) == [child.process.pid]
        assert report.status is not None
        assert report.status.describe() == "killed by SIGKILL"
        assert 0.3 <= report.took_s < 0.3 + KILL_S
        child.process.close()

    run(body())


def test_stopped_process_is_continued_so_that_it_meets_sigterm(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = await started(wait_until, WAIT)
        child.process.send_signal(signal.SIGSTOP)
        report = await stop(child.process, polite=hang, timeout_s=1, mark=TOKEN)
        assert report.step == "SIGTERM"
        child.process.close()

    run(body())


@pytest.mark.parametrize("kind", ["kin", "daemon"])
def test_grandchild_that_ignores_sigterm_and_keeps_stderr_open_is_killed(
    run: Run, wait_until: WaitUntil, kind: str
) -> None:
    async def body() -> None:
        child = await started(wait_until, LEAVE_GRANDCHILD, kind)
        await wait_until.aio(child.said("deaf"))
        report = await stop(child.process, polite=ask(child.process), mark=TOKEN)
        grandchild = child.number("grandchild")()
        assert report.step == "polite request"
        assert names(report.terminated) == names(report.killed) == [grandchild]
        assert not report.clean
        assert "killed: python" in report.describe()
        assert f"({grandchild})" in report.describe()
        assert GRACE_S <= report.took_s < GRACE_S + KILL_S
        assert nothing_is_left(child)
        child.process.close()

    run(body())


def test_sigterm_reaches_the_whole_tree_before_anything_is_killed(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        code = """
import os, signal, sys
def end(*_):
    sys.stderr.write("cleaned up\\n")
    os._exit(0)
for _ in range(3):
    if not os.fork():
        os.setsid()
        break
signal.signal(signal.SIGTERM, end)
"""
        child = Child(spec(code + WAIT))
        await wait_until.aio(lambda: child.lines.count("ready") == 4)
        report = await stop(child.process, polite=None, timeout_s=1, mark=TOKEN)
        assert report.step == "SIGTERM"
        assert report.clean
        assert len(report.terminated) == 4
        assert child.lines.count("cleaned up") == 4
        child.process.close()

    run(body())


def test_what_a_dead_plugin_left_behind_is_ended_too(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = await started(wait_until, LEAVE_GRANDCHILD)
        await wait_until.aio(child.said("deaf"))
        child.process.send_signal(signal.SIGKILL)
        await child.process.wait()
        report = await stop(child.process, polite=hang, mark=TOKEN)
        assert report.step == "already ended"
        assert names(report.killed) == [child.number("grandchild")()]
        assert nothing_is_left(child)
        again = await stop(child.process, polite=hang, mark=TOKEN)
        assert again.clean
        assert again.terminated == ()
        child.process.close()

    run(body())


def test_child_of_a_terminal_without_mark_and_parent_is_found_by_its_session(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        # The shell leads a session of its own; its child's parent ends with it, and its mark is gone.
        code = """
import os, signal, sys
if not os.fork():
    os.setsid()
    if not os.fork():
        os.execve("/bin/sh", ["sh", "-c", "trap '' TERM; echo deaf >&2; while :; do sleep 60; done"], {})
    signal.pause()
"""
        child = await started(wait_until, code + WAIT)
        await wait_until.aio(child.said("deaf"))
        report = await stop(child.process, polite=None, timeout_s=1, mark=TOKEN)
        assert report.step == "SIGTERM"
        assert "sh" in [process.name for process in report.killed]
        assert report.survivors == ()
        child.process.close()

    run(body())


@pytest.mark.parametrize("way", ["polite request", "close stdin"])
def test_kin_that_a_plugin_cuts_off_as_it_ends_is_known(run: Run, wait_until: WaitUntil, way: str) -> None:
    """Once the one between is gone nothing leads to it: no parent, no mark, no session of the plugin."""

    async def body() -> None:
        code = """
import os, signal, sys
between = os.fork()
if not between:
    os.setsid()
    if not os.fork():
        os.execve("/bin/sh", ["sh", "-c", "trap '' TERM; echo deaf $$ >&2; exec sleep 30"], {})
    signal.pause()
sys.stderr.write("ready\\n")
os.read(0, 100)
os.kill(between, signal.SIGKILL)
os.waitpid(between, 0)
"""
        child = await started(wait_until, code)
        cut_off = await wait_until.aio(child.number("deaf"))
        polite = ask(child.process) if way == "polite request" else None
        report = await stop(child.process, polite=polite, mark=TOKEN)
        assert (report.step, names(report.killed), report.survivors) == (way, [cut_off], ())
        child.process.close()

    run(body())


@pytest.mark.parametrize("kernel", ["6.9", "older"])
def test_tree_that_forks_faster_than_it_can_be_listed_is_killed(
    run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    if kernel == "older":
        monkeypatch.setattr(reaper, "PIDFD_SIGNAL_PROCESS_GROUP", 1 << 20)

    async def body() -> None:
        # One process at a time, each living for about a millisecond, for twenty seconds and more.
        code = """
import os, sys, time
sys.stderr.write("ready\\n")
if not os.fork():
    for _ in range(20000):
        if os.fork():
            os._exit(0)
        time.sleep(0.001)
os.read(0, 100)
"""
        child = await started(wait_until, code)
        began = time.monotonic()
        report = await stop(child.process, polite=ask(child.process), mark=TOKEN)
        assert report.step == "polite request"
        assert report.survivors == ()
        await wait_until.aio(lambda: child.process.stderr.closed)  # each of them held the other end
        assert time.monotonic() - began < AT_ONCE_S
        child.process.close()

    run(body())


def test_cancelled_stop_leaves_nothing_alive(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = await started(wait_until, DEAF + LEAVE_GRANDCHILD, "daemon")
        await wait_until.aio(child.said("deaf"))
        stopping = asyncio.ensure_future(stop(child.process, polite=hang, timeout_s=60, mark=TOKEN))
        await asyncio.sleep(0)
        began = time.monotonic()
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert time.monotonic() - began < AT_ONCE_S
        assert child.process.status is not None
        assert nothing_is_left(child)
        child.process.close()

    run(body())


def test_stop_cancelled_twice_has_killed_all_the_same(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = await started(wait_until, LEAVE_GRANDCHILD)
        stopping = asyncio.ensure_future(stop(child.process, polite=hang, mark=TOKEN))
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        await wait_until.aio(lambda: child.process.status is not None)
        await wait_until.aio(lambda: nothing_is_left(child))
        child.process.close()

    run(body())


def test_stop_that_fails_itself_leaves_nothing_alive(
    run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        child = await started(wait_until, DEAF + WAIT)

        def broken() -> None:
            raise LookupError("unforeseen")

        monkeypatch.setattr(PluginProcess, "close_stdin", lambda _: broken())
        with pytest.raises(LookupError):
            await stop(child.process, polite=None, mark=TOKEN)
        assert child.process.status is not None
        monkeypatch.undo()
        child.process.close()

    run(body())


def test_end_of_the_loop_kills_without_waiting(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = await started(wait_until, DEAF + WAIT)
        stopping = stop(child.process, polite=None, mark=TOKEN)
        stopping.send(None)
        stopping.close()
        await child.process.wait()
        child.process.close()

    run(body())


def test_request_that_resists_its_cancellation_holds_nothing_up(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        released = asyncio.Event()

        async def stubborn() -> None:
            while not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    pass
            raise ConnectionError("too late")

        child = await started(wait_until, WAIT)
        report = await stop(child.process, polite=stubborn, timeout_s=1, mark=TOKEN)
        assert report.step == "SIGTERM"
        released.set()
        await asyncio.sleep(0)
        child.process.close()

    run(body())


def test_request_may_fail_before_it_waits(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        def broken() -> Awaitable[None]:
            raise LookupError("no connection")

        child = await started(wait_until, WAIT)
        report = await stop(child.process, polite=broken, timeout_s=1, mark=TOKEN)
        assert report.step == "SIGTERM"
        child.process.close()

    run(body())


def test_survivors_are_named_and_not_waited_for_without_end(
    run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        child = await started(wait_until, DEAF + WAIT)
        with monkeypatch.context() as patch:
            patch.setattr(ladder, "KILL_S", 0.1)
            patch.setattr(tree, "signal_all", lambda *_: frozenset())
            patch.setattr(tree, "signal_groups", lambda *_, **__: False)
            patch.setattr(PluginProcess, "send_group_signal", lambda *_: False)
            report = await stop(child.process, polite=None, timeout_s=0.1, mark=TOKEN)
        assert report.step == "none"
        assert names(report.survivors) == [child.process.pid]
        assert report.status is None
        assert not report.clean
        assert "still running" in report.describe()
        assert "survived: " in report.describe()
        await stop(child.process, polite=None, timeout_s=0, mark=TOKEN)
        child.process.close()

    run(body())


def test_no_time_at_all_goes_straight_to_the_kill(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = await started(wait_until, DEAF + WAIT)
        report = await stop(child.process, polite=hang, timeout_s=0, mark=TOKEN)
        assert report.step == "SIGKILL"
        assert report.took_s < KILL_S
        child.process.close()

    run(body())


def test_last_words_during_the_stop_are_in_the_tail(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = await started(wait_until, POLITE + "sys.stderr.write('good-bye')\n")
        await stop(child.process, polite=ask(child.process), mark=TOKEN)
        assert child.process.stderr.tail[-1] == "good-bye"
        child.process.close()

    run(body())


@pytest.mark.deadline(60)
def test_hundred_stop_at_once_in_bounded_time_and_without_threads(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        threads = threading.active_count()
        children = [Child(spec(POLITE, token=f"run/child{n}/1", channel="socketpair")) for n in range(100)]
        for child in children:
            await wait_until.aio(child.said("ready"), timeout=30)
        descriptors = len(os.listdir("/proc/self/fd"))
        began = time.monotonic()
        reports = await asyncio.gather(
            *(
                stop(child.process, polite=ask(child.process), timeout_s=60, mark=f"{TOKEN}{n}")
                for n, child in enumerate(children)
            )
        )
        took = time.monotonic() - began
        assert threading.active_count() == threads
        assert len(os.listdir("/proc/self/fd")) <= descriptors
        for child in children:
            child.process.close()
        assert {report.step for report in reports} == {"polite request"}
        assert took < AT_ONCE_S

    run(body())


def test_report_in_words() -> None:
    one, two = ProcessIdentity(7, 1, "sh"), ProcessIdentity(8, 1)
    report = StopReport("SIGTERM", 1.25, ExitStatus(0, None), (one,), (one, two), (two,))
    assert report.describe() == (
        "exited with status 0 after 1.25 s (step: SIGTERM); killed: sh (7), ? (8); survived: ? (8)"
    )
