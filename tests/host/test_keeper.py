"""The host's side of its keeper: soon started, replaced when it dies, told of folders, then ended."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin_host.keeper import handle
from plugin_host.keeper.dictation import session_line
from plugin_host.keeper.handle import PAUSES_S, Keeper
from plugin_host.tree import identify
from tests.run import Run
from tests.stage import stage
from tests.victim import is_there
from tests.wait import WaitUntil


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[tuple[int, str]]]:
    """What was logged: level and text."""
    records: list[tuple[int, str]] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append((record.levelno, record.getMessage()))  # type: ignore[method-assign]
    logger = logging.getLogger("plugin_host.keeper")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def is_up(pid: int | None) -> bool:
    """Whether its interpreter has come to the keeper's own code, which names the process."""
    return Path(f"/proc/{pid}/comm").read_text(encoding="ascii") == "plugin-keeper\n"


def has_another(keeper: Keeper, pid: int) -> Callable[[], bool]:
    """Tests whether another has taken the place of `pid`."""
    return lambda: keeper.pid not in (None, pid)


def test_goodbye_ends_it_with_status_0(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        keeper = Keeper("run")
        keeper.start()
        pid = keeper.pid
        assert pid is not None
        await wait_until.aio(lambda: is_up(pid) and keeper._is_up())
        exited = keeper._reaper.exited if keeper._reaper else None
        await keeper.close()
        assert exited is not None
        assert exited.result().describe() == "exited with status 0"
        assert keeper.pid is None
        assert not is_there(pid)

    run(body())


def test_one_that_is_not_up_yet_is_not_waited_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_up = tmp_path / "program.py"
    never_up.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(handle, "_PROGRAM", never_up)
    monkeypatch.setattr(handle, "_QUIT_S", 60)

    async def body() -> None:
        keeper = Keeper("run")
        keeper.start()
        pid = keeper.pid
        assert pid is not None
        await asyncio.wait_for(keeper.close(), 10)
        assert not is_there(pid)

    run(body())


def test_one_that_does_not_hear_the_goodbye_is_killed(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        keeper = Keeper("run")
        keeper.start()
        pid = keeper.pid
        assert pid is not None
        await wait_until.aio(lambda: is_up(pid) and keeper._is_up())
        os.kill(pid, signal.SIGSTOP)
        await keeper.close()
        assert not is_there(pid)

    run(body())


def test_close_that_is_cancelled_leaves_nothing(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        keeper = Keeper("run")
        keeper.start()
        pid = keeper.pid
        assert pid is not None
        await wait_until.aio(lambda: is_up(pid) and keeper._is_up())
        os.kill(pid, signal.SIGSTOP)
        closing = asyncio.ensure_future(keeper.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not is_there(pid)

    run(body())


def test_without_a_start_there_is_nothing_to_close(run: Run) -> None:
    async def body() -> None:
        keeper = Keeper("run")
        keeper.tell_cgroup("/a")
        keeper.forget_cgroup("/a")
        await keeper.close()
        keeper.start()  # a closed one stays closed
        assert keeper.pid is None
        await keeper.close()

    run(body())


def test_second_start_starts_no_second(run: Run) -> None:
    async def body() -> None:
        keeper = Keeper("run")
        keeper.start()
        pid = keeper.pid
        keeper.start()
        assert keeper.pid == pid
        await keeper.close()

    run(body())


def test_dead_one_is_replaced_and_the_next_is_told_of_the_folders(
    run: Run, wait_until: WaitUntil, said: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        keeper = Keeper("run")
        keeper.start()
        keeper.tell_cgroup("/a")
        keeper.tell_cgroup("/b")
        keeper.forget_cgroup("/a")
        first = keeper.pid
        assert first is not None
        sent: list[bytes] = []

        def note(self: Keeper, line: bytes) -> bool:
            sent.append(line)
            return True

        monkeypatch.setattr(Keeper, "_send", note)
        os.kill(first, signal.SIGKILL)
        await wait_until.aio(has_another(keeper, first))
        assert sent == [b"hello\ncgroup /b\n"]
        monkeypatch.undo()
        await keeper.close()

    run(body())
    ((level, text),) = said
    assert level == logging.WARNING
    assert "killed by SIGKILL" in text
    assert text.endswith("another is started")


def test_plugins_are_told_when_they_come_and_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []

    def note(self: Keeper, line: bytes) -> bool:
        sent.append(line)
        return True

    monkeypatch.setattr(Keeper, "_send", note)

    async def body() -> None:
        keeper = Keeper("run")
        me, parent = identify(os.getpid()), identify(os.getppid())
        assert me is not None
        assert parent is not None
        keeper.note_plugin("a", None)
        keeper.note_plugin("a", me.pid)
        keeper.note_plugin("a", me.pid)
        keeper.note_plugin("b", parent.pid)
        keeper.note_plugin("a", None)
        keeper.note_plugin("b", me.pid)
        keeper.note_plugin("c", 2**22 + 1)  # there is none
        keeper.start()
        await keeper.close()
        mine, parents = session_line(me.pid, int(me.started)), session_line(parent.pid, int(parent.started))
        assert sent[:5] == [mine, parents, b"ended %d\n" % me.pid, b"ended %d\n" % parent.pid, mine]
        assert sent[5] == b"hello\n" + mine

    run(body())


def test_one_that_always_dies_is_given_up_and_the_log_says_what_is_lost(
    run: Run,
    wait_until: WaitUntil,
    said: list[tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit(3)")
    monkeypatch.setattr(handle, "_PROGRAM", broken)
    monkeypatch.setattr(handle, "PAUSES_S", (0.0, 0.01))

    async def body() -> None:
        keeper = Keeper("run")
        keeper.start()
        await wait_until.aio(lambda: len(said) == 3)
        assert keeper.pid is None
        keeper.tell_cgroup("/a")
        await keeper.close()

    run(body())
    assert [level for level, _ in said] == [logging.WARNING, logging.WARNING, logging.ERROR]
    assert "another is started in 0.01 s" in said[1][1]
    assert "exited with status 3, as 2 did before it; no other is started" in said[2][1]
    assert "SIGKILL" in said[2][1]


def test_long_life_is_no_failure(
    run: Run, wait_until: WaitUntil, said: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handle, "HEALTHY_S", 0.0)

    async def body() -> None:
        keeper = Keeper("run")
        keeper.start()
        for _ in range(len(PAUSES_S) + 2):
            pid = keeper.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await wait_until.aio(has_another(keeper, pid))
        await keeper.close()

    run(body())
    assert {level for level, _ in said} == {logging.WARNING}


def test_close_while_the_next_is_waited_for_starts_none(
    run: Run, wait_until: WaitUntil, said: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handle, "PAUSES_S", (0.05,))

    async def body() -> None:
        keeper = Keeper("run")
        keeper.start()
        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGKILL)
        await wait_until.aio(lambda: len(said) == 1)
        await keeper.close()
        await asyncio.sleep(0.1)
        assert keeper.pid is None

    run(body())


def test_folders_told_to_one_that_does_not_read_wait_in_order(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        keeper = Keeper("run")
        keeper.start()
        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGSTOP)
        for number in range(2000):
            keeper.tell_cgroup(f"/{number:0>100}")
        assert keeper._unsent
        assert not keeper._is_up()
        os.kill(keeper.pid, signal.SIGCONT)
        await wait_until.aio(lambda: not keeper._unsent and keeper._is_up())
        await keeper.close()

    run(body())


@pytest.mark.parametrize("path", ["", "relative", "/a\nquit"])
def test_folder_that_is_no_absolute_path_is_refused(run: Run, path: str) -> None:
    async def body() -> None:
        keeper = Keeper("run")
        with pytest.raises(ValueError, match="no absolute path"):
            keeper.tell_cgroup(path)
        keeper.forget_cgroup(path)

    run(body())


@pytest.mark.parametrize("what", ["fork", "interpreter", "frozen", "proc", "program"])
def test_where_there_can_be_none_one_warning_says_what_is_lost(
    run: Run, said: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    if what == "fork":
        monkeypatch.setattr(subprocess, "Popen", refuse)
    elif what == "interpreter":
        monkeypatch.setattr(sys, "executable", "")
    elif what == "frozen":
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    elif what == "program":
        monkeypatch.setattr(handle, "_PROGRAM", Path("/no/such/program.py"))
    else:
        monkeypatch.setattr(handle, "has_own_proc", lambda: False)

    async def body() -> None:
        keeper = Keeper("run")
        keeper.start()
        assert keeper.pid is None
        keeper.start()
        keeper.tell_cgroup("/a")
        await keeper.close()

    run(body())
    ((level, text),) = said
    assert level == logging.WARNING
    assert "if this host is killed with SIGKILL" in text


def test_one_that_could_not_be_started_is_tried_again_with_the_next_plugin(
    run: Run, said: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async def body() -> None:
        async with stage("steady", block=["steady"]) as host:
            with monkeypatch.context() as scarce:
                scarce.setattr(subprocess, "Popen", refuse)
                host._keeper.start()
                host._keeper.retry()
            pids = [host._keeper.pid]
            await host._supervisors["steady"].start()
            pids.append(host._keeper.pid)
        assert pids[0] is None
        assert pids[1] is not None

    run(body())
    assert len([text for level, text in said if level == logging.WARNING]) == 1


def test_fork_that_fails_later_counts_as_a_death(
    run: Run, wait_until: WaitUntil, said: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(handle, "PAUSES_S", (0.0, 0.0))

    async def body() -> None:
        keeper = Keeper("run")
        keeper.start()
        assert keeper.pid is not None
        monkeypatch.setattr(subprocess, "Popen", refuse)
        os.kill(keeper.pid, signal.SIGKILL)
        await wait_until.aio(lambda: len(said) == 3)
        await keeper.close()

    run(body())
    assert said[1][1].startswith("no keeper process could be started: [Errno 11]")
    assert said[2][0] == logging.ERROR


# In a host.


def test_clean_close_leaves_no_keeper(run: Run) -> None:
    async def body() -> None:
        async with stage("steady") as host:
            pid = host._keeper.pid
            assert pid is not None
            assert is_there(pid)
        assert not is_there(pid)

    run(body())


def test_host_that_starts_nothing_has_no_keeper(run: Run) -> None:
    async def body() -> None:
        async with stage("steady", block=["steady"]) as host:
            assert host._keeper.pid is None

    run(body())


def test_each_host_of_a_process_has_its_own(run: Run) -> None:
    async def body() -> None:
        async with stage("steady") as one, stage("steady") as other:
            assert len({one._keeper.pid, other._keeper.pid, None}) == 3
            await one.close()
            pid = other._keeper.pid
            assert pid is not None
            assert is_there(pid)
            assert await other.call("steady", "echo", {"value": 1}) is not None

    run(body())
