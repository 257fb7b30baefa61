"""Plugins that hang in every way there is: where they do is found, in time, while they still do."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from plugin_host import PluginDied, PluginHost, hang, threadstate, tree
from plugin_host.dumptext import crash_place
from plugin_host.environment import build_environment
from plugin_host.hang import ANSWER_S, DUMP_S, HangReport
from plugin_host.link import Link
from plugin_host.process import PluginProcess, ProcessSpec
from plugin_host.threadstate import OBSERVED_S
from tests.host.child import TOKEN
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import asyncio, ctypes, os, pathlib, threading, time

    first, second = threading.Lock(), threading.Lock()
    both = threading.Barrier(2)
    HUGE = 1 << 4_000_000

    def enter(name):
        pathlib.Path(__file__).with_name(name).touch()

    @plugin.command()
    def sleep_in_c(ctx):
        enter("sleep_in_c")
        ctypes.PyDLL(None).usleep(100_000_000)  # PyDLL: the interpreter's lock is kept

    @plugin.command()
    def compute_in_c(ctx):
        enter("compute_in_c")
        return pow(3, HUGE, HUGE + 1)  # keeps the lock, too

    @plugin.command()
    def left(ctx):
        with first:
            both.wait()
            enter("left")
            with second:  # left
                pass

    @plugin.command()
    def right(ctx):
        with second:
            both.wait()
            enter("right")
            with first:  # right
                pass

    @plugin.command()
    def spin(ctx):
        enter("spin")
        while True:
            pass

    @plugin.command()
    async def block(ctx):
        enter("block")
        time.sleep(100)

    @plugin.command()
    async def nap(ctx):
        enter("nap")
        await asyncio.sleep(100)

    @plugin.command()
    def wait(ctx):
        enter("wait")
        time.sleep(100)
"""


class Patient:
    """A plugin of the test's, as it is examined."""

    def __init__(self, host: PluginHost, folder: Path) -> None:
        instance = host._supervisors["demo"]._instance
        assert instance is not None
        self.host = host
        self.folder = folder / "demo"
        self.process: PluginProcess = instance.process
        self.link: Link = instance.link
        self.calls: list[asyncio.Task[Any]] = []

    async def call(self, *commands: str) -> None:
        """Call commands that do not end, and wait until they are at it."""
        for command in commands:
            self.calls.append(asyncio.create_task(self.host.call("demo", command)))
        for command in commands:
            async with asyncio.timeout(10):
                while not (self.folder / command).exists():  # noqa: ASYNC110 - another process's doing
                    await asyncio.sleep(0.005)

    async def examine(self) -> HangReport:
        return await hang.examine(self.process, self.link)

    def line_of(self, text: str) -> str:
        """`file:line` of the line that begins so."""
        file = self.folder / "demo_plugin.py"
        (number,) = [
            number
            for number, line in enumerate(file.read_text().splitlines(), 1)
            if line.strip().startswith(text)
        ]
        return f"{file}:{number}"


@asynccontextmanager
async def patient(folder: Path) -> AsyncIterator[Patient]:
    """The plugin of this page; killed at the end, since it does not end by itself."""
    write_plugin(folder, "demo", CODE, restart={"policy": "never"}, health={"interval_s": 1000})
    async with stage("demo", dirs=[folder]) as host:
        one = Patient(host, folder)
        try:
            yield one
        finally:
            one.process.send_signal(signal.SIGKILL)
            await asyncio.gather(*one.calls, return_exceptions=True)


def test_sleep_in_c_with_the_interpreters_lock_is_named_by_file_and_line(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with patient(tmp_path) as one:
            await one.call("sleep_in_c")
            report = await one.examine()
            place = one.line_of("ctypes.PyDLL")
        assert report.source == "faulthandler"
        assert re.fullmatch(
            rf"its interpreter is held: thread 0x[0-9a-f]+ sleeps in C at {place} in sleep_in_c",
            report.summary,
        )
        assert report.note == "its reading thread did not answer within 1 s: threads only, and no tasks"
        assert f"    {place} in sleep_in_c" in report.render().splitlines()

    run(body())


def test_computing_in_c_with_the_interpreters_lock_is_told_apart(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with patient(tmp_path) as one:
            await one.call("compute_in_c")

            async def seen() -> HangReport | None:
                # Before it is in C the reader still answers.
                report = await one.examine()
                return report if report.source == "faulthandler" else None

            report = await wait_until.aio(seen)
            place = one.line_of("return pow")
        assert report is not None
        assert f"computes in C at {place} in compute_in_c, with " in report.summary
        assert report.state.startswith("busy: one thread uses ")

    run(body())


def test_deadlock_is_named_by_both_lines(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with patient(tmp_path) as one:
            await one.call("left", "right")
            ends = [
                f"in the call `{call}`, waits for a lock at {one.line_of(line)} in {call} (`{line}`)"
                for call, line in (("left", "with second:  # left"), ("right", "with first:  # right"))
            ]

            async def seen() -> HangReport | None:
                # Before each is at its second lock they wait for each other, which is a deadlock, too.
                report = await one.examine()
                return report if all(end in report.summary for end in ends) else None

            report = await wait_until.aio(seen)
        assert report is not None
        assert report.source == "reader"
        assert report.summary.startswith("a deadlock, as it seems: none of 2 threads goes on: ")

    run(body())


def test_busy_loop_of_python_answers_and_is_named(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with patient(tmp_path) as one:
            await one.call("spin")

            async def seen() -> HangReport | None:
                report = await one.examine()
                return report if report.summary.startswith("busy: ") else None

            report = await wait_until.aio(seen)
        assert report is not None
        assert report.source == "reader"
        assert "in the call `spin`, computes at " in report.summary
        assert re.search(r"demo_plugin\.py:\d+ in spin \(`(while True:|pass)`\)", report.summary)

    run(body())


def test_blocked_event_loop_is_named_by_file_and_line(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with patient(tmp_path) as one:
            await one.call("nap", "block")
            report = await one.examine()
        assert report.source == "reader"
        assert report.summary.startswith("its event loop is blocked: thread asyncio, in the call `block`,")
        assert " in block (`time.sleep(100)`)" in report.summary
        assert any(task.call == "nap" for task in report.tasks)
        assert "await asyncio.sleep(100)" in report.render()

    run(body())


def test_plugin_that_only_waits_is_told_as_that(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with patient(tmp_path) as one:
            report = await one.examine()
            assert report.summary.startswith("nothing of it runs; all ")
            await one.call("nap")
            report = await one.examine()
            assert report.summary.startswith("nothing of it runs, but for what waits on its event loop: ")
            assert "in the call `nap`" in report.summary

    run(body())


def test_stopped_plugin_is_told_as_that_and_is_not_continued(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with patient(tmp_path) as one:
            await one.call("wait")
            one.process.send_signal(signal.SIGSTOP)
            await wait_until.aio(lambda: threadstate.look(one.process.pid).is_stopped)
            report = await one.examine()
            assert threadstate.look(one.process.pid).is_stopped
        assert report.summary == "it is stopped by a signal such as SIGSTOP"
        assert report.source == "none"
        assert (
            report.render().splitlines()[-1] == "  note: a process that is stopped cannot say where it is"
        )

    run(body())


def test_plugin_that_has_ended_is_told_as_that(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with patient(tmp_path) as one:
            one.process.send_signal(signal.SIGKILL)
            await one.process.wait()
            report = await hang.examine(one.process, None)
        assert (report.summary, report.source) == ("it has ended", "none")

    run(body())


def test_plugin_that_dies_under_examination_is_no_error(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with patient(tmp_path) as one:
            await one.call("sleep_in_c")
            examining = asyncio.create_task(one.examine())
            await asyncio.sleep(0)
            one.process.send_signal(signal.SIGKILL)
            report = await examining
        assert report.summary == "it has ended"

    run(body())


def test_examination_can_be_cancelled_and_leaves_no_question(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with patient(tmp_path) as one:
            await one.call("sleep_in_c")
            examining = asyncio.create_task(one.examine())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert one.link.in_flight == 2
            examining.cancel()
            await asyncio.wait([examining])
            assert examining.cancelled()
            assert one.link.in_flight == 1

    run(body())


@pytest.mark.parametrize("argv", [["sleep", "60"], ["sh", "-c", "while :; do :; done"]])
def test_program_without_the_sdk_is_told_by_its_state_and_not_signalled(run: Run, argv: list[str]) -> None:
    async def body() -> None:
        spec = ProcessSpec(argv, None, build_environment(os.environ, token=TOKEN), "pipes")
        process = PluginProcess.spawn(spec, on_stderr=lambda line: None)
        report = await hang.examine(process, None)
        assert process.status is None
        process.close()
        await process.wait()
        assert report.source == "none"
        assert report.summary == f"where it is cannot be seen; {report.state}"
        assert report.note == "it cannot be asked, and this program is not served by the SDK"

    run(body())


def test_plugin_that_took_the_signal_away_is_not_ended_by_it(run: Run, tmp_path: Path) -> None:
    code = """
        import ctypes, faulthandler, pathlib, signal
        @plugin.command()
        def sleep_in_c(ctx):
            faulthandler.unregister(signal.SIGRTMIN + 1)
            pathlib.Path(__file__).with_name("sleep_in_c").touch()
            ctypes.PyDLL(None).usleep(100_000_000)
    """
    write_plugin(tmp_path, "demo", code)

    async def body() -> None:
        async with stage("demo", dirs=[tmp_path]) as host:
            one = Patient(host, tmp_path)
            await one.call("sleep_in_c")
            report = await one.examine()
            assert one.process.status is None
            one.process.send_signal(signal.SIGKILL)
            await asyncio.gather(*one.calls, return_exceptions=True)
        assert report.source == "none"
        assert report.note.endswith("and it takes no signal to write its stacks")
        assert report.summary.endswith(f"; {report.state}")

    run(body())


def test_second_examination_reads_nothing_of_the_first(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with patient(tmp_path) as one:
            await one.call("sleep_in_c")
            first = await one.examine()
            second = await one.examine()
        assert first.source == second.source == "faulthandler"
        assert len(first.threads) == len(second.threads)

    run(body())


def test_examination_is_bounded_in_time(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with patient(tmp_path) as one:
            await one.call("sleep_in_c")
            # A dump that never comes.
            monkeypatch.setattr(tree, "signal_all", lambda processes, number: frozenset(processes))
            began = time.monotonic()
            report = await one.examine()
            took = time.monotonic() - began
            monkeypatch.undo()
        assert report.note.endswith("and it wrote no stacks either")
        assert ANSWER_S + DUMP_S + OBSERVED_S < 2.5
        assert took < ANSWER_S + DUMP_S + 3  # whatever else this machine does

    run(body())


def test_crash_in_c_is_named_in_the_last_lines(run: Run, tmp_path: Path) -> None:
    write_plugin(
        tmp_path,
        "demo",
        """
        import ctypes
        @plugin.command()
        def crash(ctx):
            ctypes.string_at(8)
        """,
    )

    async def body() -> None:
        async with stage("demo", dirs=[tmp_path]) as host:
            with pytest.raises(PluginDied) as caught:
                await host.call("demo", "crash")
        place = crash_place(caught.value.stderr)
        assert place is not None
        assert re.fullmatch(r"Segmentation fault at .*/demo_plugin\.py:\d+ in crash", place)

    run(body())
