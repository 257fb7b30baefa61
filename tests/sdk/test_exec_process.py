"""Programs on pipes, and the end of any program: noticed without a thread, told in words, taken once."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import threading

import pytest

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.exec.process import (
    LOST,
    PipeProcess,
    close_exit,
    describe_signal,
    reap,
    spawn_pipes,
    watch_exit,
)
from tests.sdk.ends import (
    ENV,
    PATIENCE_S,
    close_pipes,
    descriptors,
    end_of,
    handling,
    has_children,
    is_ready,
    kill,
    outcome,
    read_all,
)


def spawn(*argv: str) -> PipeProcess:
    return spawn_pipes(argv, cwd=None, env=ENV)


def test_three_pipes_are_apart_and_carry_every_byte() -> None:
    every = bytes(range(256))
    process = spawn("sh", "-c", "cat; echo complaint >&2")
    os.write(process.stdin_fd, every)
    assert outcome(process) == (every, b"complaint\n", (0, None, "exited with status 0"))


def test_our_ends_wait_for_nothing_and_are_not_inherited() -> None:
    process = spawn("cat")
    for fd in process[1:]:
        assert not os.get_blocking(fd)
        assert not os.get_inheritable(fd)
    with pytest.raises(BlockingIOError):
        os.read(process.stdout_fd, 1)
    outcome(process)


def test_input_ends_when_its_descriptor_is_closed() -> None:
    first = spawn("cat")
    # Programs that are started later hold no end of this one's input.
    second = spawn("cat")
    os.close(first.stdin_fd)
    assert read_all(first.stdout_fd) == b""
    end_of(first.pid)
    os.close(first.stdout_fd)
    os.close(first.stderr_fd)
    outcome(second)


def test_nobody_else_reaps_a_program_that_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    process = spawn("true")
    watched = watch_exit(process.pid)
    assert is_ready(watched, PATIENCE_S)
    close_exit(watched)
    gc.collect()
    subprocess.run(["true"], check=True)  # looks for forgotten Popen objects
    assert reap(process.pid) == (0, None, "exited with status 0")
    close_pipes(process)


def test_descriptors_are_the_callers_alone() -> None:
    before = descriptors()
    process = spawn("true")
    assert descriptors() - before == set(process[1:])
    end_of(process.pid)
    close_pipes(process)
    gc.collect()
    assert descriptors() == before


@pytest.mark.parametrize("fault", [OSError(errno.EMFILE, "Too many open files"), RuntimeError("other")])
def test_no_descriptor_is_left_when_there_are_not_enough(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    before = descriptors()
    pipe, pipes = os.pipe, iter(range(2))

    def two_only() -> tuple[int, int]:
        if next(pipes, None) is None:
            raise fault
        return pipe()

    monkeypatch.setattr(os, "pipe", two_only)
    expected = TerminalError if isinstance(fault, OSError) else RuntimeError
    with pytest.raises(expected) as caught:
        spawn("true")
    if isinstance(caught.value, TerminalError):
        assert caught.value.retryable
        assert caught.value.data["errno"] == errno.EMFILE
    assert descriptors() == before


def test_program_that_cannot_be_prepared_in_the_child_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise subprocess.SubprocessError("Exception occurred in preexec_fn.")

    monkeypatch.setattr(subprocess, "Popen", fail)
    before = descriptors()
    with pytest.raises(TerminalError, match="could not be started: Exception occurred"):
        spawn("true")
    assert descriptors() == before


# The end.


@pytest.fixture(params=["pidfd", "no pidfd", "forbidden"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How an exit is noticed: here, on an old system, in a sandbox."""
    if request.param == "no pidfd":
        monkeypatch.delattr(os, "pidfd_open")
    elif request.param == "forbidden":
        monkeypatch.setattr(os, "pidfd_open", _forbidden)
    return str(request.param)


def _forbidden(pid: int, flags: int = 0) -> int:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_exit_is_seen_once_it_has_come(way: str) -> None:
    process = spawn("cat")
    watched = watch_exit(process.pid)
    assert not os.get_inheritable(watched)
    assert not is_ready(watched)
    assert reap(process.pid) is None
    os.close(process.stdin_fd)
    assert is_ready(watched, PATIENCE_S)
    assert reap(process.pid) == (0, None, "exited with status 0")
    close_exit(watched)
    os.close(process.stdout_fd)
    os.close(process.stderr_fd)


def test_exit_that_came_before_is_seen_too(way: str) -> None:
    process = spawn("true")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert end_of(process.pid).code == 0
    close_pipes(process)


def test_watching_can_end_before_the_program_does(way: str) -> None:
    before = descriptors()
    process = spawn("cat")
    close_exit(watch_exit(process.pid))
    outcome(process)
    if way == "pidfd":
        assert descriptors() == before


def test_status_that_somebody_else_took_is_named_lost(way: str) -> None:
    process = spawn("sh", "-c", "exit 7")
    watched = watch_exit(process.pid)
    assert os.waitpid(process.pid, 0) == (process.pid, 7 << 8)
    assert is_ready(watched, PATIENCE_S)
    assert reap(process.pid) == LOST
    assert (LOST.code, LOST.signal) == (None, None)
    assert "taken by somebody else" in LOST.reason
    close_exit(watched)
    # And when nothing was watched before:
    assert end_of(process.pid) == LOST
    close_pipes(process)


def test_plugin_that_ignores_its_children_still_sees_them_end(way: str) -> None:
    with handling(signal.SIGCHLD, signal.SIG_IGN):
        process = spawn("cat")
        watched = watch_exit(process.pid)
        assert reap(process.pid) is None
        close_pipes(process)
        assert is_ready(watched, PATIENCE_S)
        assert reap(process.pid) == LOST
        close_exit(watched)


def test_only_other_systems_need_a_thread_to_watch() -> None:
    processes = [spawn("cat") for _ in range(3)]
    threads = threading.active_count()
    watched = [watch_exit(process.pid) for process in processes]
    assert threading.active_count() == threads
    for fd, process in zip(watched, processes, strict=True):
        close_exit(fd)
        outcome(process)


@pytest.mark.parametrize("fault", [errno.EMFILE, errno.ENOMEM])
def test_exit_that_cannot_be_watched_is_an_error(monkeypatch: pytest.MonkeyPatch, fault: int) -> None:
    def refuse(pid: int, flags: int = 0) -> int:
        raise OSError(fault, os.strerror(fault))

    process = spawn("cat")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", refuse)
        with pytest.raises(TerminalError, match="cannot be watched") as caught:
            watch_exit(process.pid)
    assert caught.value.retryable
    outcome(process)


def test_thread_that_cannot_be_started_leaves_no_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    process = spawn("cat")
    with monkeypatch.context() as patch:
        patch.delattr(os, "pidfd_open")
        patch.setattr(threading.Thread, "start", refuse)
        before = descriptors()
        with pytest.raises(TerminalError, match="can't start new thread") as caught:
            watch_exit(process.pid)
        assert descriptors() == before
    assert caught.value.retryable
    outcome(process)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", (0, None, "exited with status 0")),
        ("exit 255", (255, None, "exited with status 255")),
        ("kill -TERM $$", (None, "SIGTERM", "killed by SIGTERM (terminated)")),
        ("kill -KILL $$", (None, "SIGKILL", "killed by SIGKILL")),
        ("kill -HUP $$", (None, "SIGHUP", "killed by SIGHUP (hang-up)")),
        ("ulimit -c 0; kill -SEGV $$", (None, "SIGSEGV", "killed by SIGSEGV (segmentation fault)")),
        ("kill -34 $$", (None, "SIGRTMIN", "killed by SIGRTMIN")),
        ("kill -40 $$", (None, "SIG40", "killed by SIG40")),
    ],
)
def test_end_is_told_in_words(script: str, status: tuple[int | None, str | None, str]) -> None:
    assert outcome(spawn("bash", "-c", script))[2] == status


def test_core_dump_is_told() -> None:
    words = "killed by SIGABRT (aborted, core dumped)"
    assert describe_signal(signal.SIGABRT, core_dumped=True) == (None, "SIGABRT", words)
    assert describe_signal(signal.SIGUSR1, core_dumped=True).reason == "killed by SIGUSR1 (core dumped)"


def test_status_is_taken_once_when_many_ask() -> None:
    process = spawn("true")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(reap(process.pid))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status.code for status in statuses if status and status != LOST] == [0]
    close_pipes(process)


def test_author_who_reaps_in_a_handler_disturbs_nothing() -> None:
    def reap_all(number: int, frame: object) -> None:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    with handling(signal.SIGCHLD, reap_all):
        for _ in range(10):
            said, _, status = outcome(spawn("echo", "hi"))
            assert said == b"hi\n"
            assert status in ((0, None, "exited with status 0"), LOST)


def test_program_that_runs_on_is_not_reaped() -> None:
    process = spawn("sleep", "60")
    assert reap(process.pid) is None
    close_pipes(process)
    kill(process.pid)
    assert not has_children()
