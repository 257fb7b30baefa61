"""Writing to what authors return, both directions of one thing, and how all of it ends."""

from __future__ import annotations

import io
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.exec.file import adapt_files, adapt_popen, adapt_reader, adapt_writer
from tests.sdk.ends import EVERY, assert_pollable, end_of, everything, put, read_all, read_until
from tests.wait import WaitUntil


def test_none_takes_no_input() -> None:
    end = adapt_writer(None)
    assert end.fd == -1
    assert end.error is None
    end.close()


@pytest.mark.parametrize(
    "opened", [lambda fd: fd, lambda fd: os.fdopen(fd, "wb"), lambda fd: os.fdopen(fd, "w")]
)
def test_pipe_takes_bytes_and_ends(opened: Callable[[int], Any]) -> None:
    reading, writing = os.pipe()
    end = adapt_writer(opened(writing))
    assert_pollable(end.fd)
    put(end, EVERY)
    end.close()
    end.close()
    assert read_all(reading) == EVERY
    os.close(reading)


def test_what_the_author_wrote_before_goes_first() -> None:
    reading, writing = os.pipe()
    file = open(writing, "w")  # noqa: SIM115
    file.write("header\n")
    end = adapt_writer(file)
    put(end, b"body")
    end.close()
    assert read_all(reading) == b"header\nbody"
    os.close(reading)


def test_what_the_author_wrote_before_waits_for_room() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    filled = 0
    try:
        while True:
            filled += os.write(writing, bytes(65536))
    except BlockingIOError:
        pass
    file = open(writing, "wb")  # noqa: SIM115
    file.write(b"header")
    end = adapt_writer(file)
    put(end, b"body")
    end.close()
    assert read_all(reading)[filled:] == b"headerbody"
    os.close(reading)


def test_socket_hears_the_end_of_input_and_answers_still() -> None:
    ours, theirs = socket.socketpair()
    stdin, stdout, stderr = adapt_files(ours, ours, None)
    assert stdin.fd != stdout.fd
    put(stdin, b"question")
    stdin.close()
    assert theirs.recv(100) == b"question"
    assert theirs.recv(100) == b""
    theirs.sendall(b"answer")
    theirs.close()
    assert everything(stdout) == b"answer"
    stderr.close()


def test_object_that_serves_both_ways_is_closed_when_both_have_ended(wait_until: WaitUntil) -> None:
    class Echo:
        def __init__(self) -> None:
            self.queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
            self.closed_times = 0

        def write(self, data: bytes) -> None:
            self.queue.put(data)

        def read(self, size: int) -> bytes:
            return self.queue.get()

        def close(self) -> None:
            self.closed_times += 1
            self.queue.put(b"")

    echo = Echo()
    stdin, stdout, stderr = adapt_files(echo, echo, None)
    put(stdin, b"question")
    assert read_until(stdout.fd, b"question")
    threads = threading.active_count()
    stdin.close()
    wait_until(lambda: threading.active_count() < threads)
    assert echo.closed_times == 0
    stdout.close()
    stderr.close()
    wait_until(lambda: echo.closed_times == 1)


@pytest.mark.parametrize(
    "halves",
    [
        lambda sock: (sock.makefile("wb"), sock.makefile("rb")),
        lambda sock: (sock.makefile("rwb"),) * 2,
        lambda sock: (os.dup(sock.fileno()),) * 2,
    ],
)
def test_two_files_of_one_socket_do_not_disturb_each_other(
    halves: Callable[[socket.socket], tuple[Any, Any]],
) -> None:
    ours, theirs = socket.socketpair()
    into, out = halves(ours)
    ours.close()
    stdin, stdout, stderr = adapt_files(into, out, None)
    assert stdin.fd != stdout.fd
    put(stdin, b"in")
    assert theirs.recv(100) == b"in"
    theirs.sendall(b"out")
    assert read_until(stdout.fd, b"out") == b"out"
    for end in (stdin, stdout, stderr):
        end.close()
    theirs.close()


@pytest.mark.parametrize(
    "opened",
    [
        lambda path: path.open("wb"),
        lambda path: path.open("w"),
        lambda path: path.open("wb", buffering=0),
        lambda path: os.open(path, os.O_WRONLY | os.O_CREAT),
    ],
)
def test_regular_file_holds_all_when_the_input_has_ended(
    tmp_path: Path, wait_until: WaitUntil, opened: Callable[[Path], Any]
) -> None:
    end = adapt_writer(opened(tmp_path / "file"))
    assert_pollable(end.fd)
    put(end, EVERY * 1000)
    end.close()
    wait_until(lambda: (tmp_path / "file").read_bytes() == EVERY * 1000)


class Taking:
    def __init__(self, answer: Callable[[bytes], Any]) -> None:
        self.data = b""
        self.closed_times = 0
        self.answer = answer

    def write(self, data: bytes) -> Any:
        size = self.answer(data)
        self.data += data if size is None else data[:size]
        return size

    def close(self) -> None:
        self.closed_times += 1


@pytest.mark.parametrize("answer", [len, lambda data: None, lambda data: min(len(data), 7)])
def test_object_with_write_takes_all(answer: Callable[[bytes], Any], wait_until: WaitUntil) -> None:
    taking = Taking(answer)
    end = adapt_writer(taking)
    put(end, EVERY * 10)
    end.close()
    wait_until(lambda: taking.closed_times == 1)
    assert taking.data == EVERY * 10


@pytest.mark.parametrize(
    ("answer", "kind"), [(lambda data: 1 // 0, ZeroDivisionError), (lambda data: 0, OSError)]
)
def test_error_of_the_authors_write_breaks_the_input_and_is_kept(
    wait_until: WaitUntil, answer: Callable[[bytes], Any], kind: type[Exception]
) -> None:
    taking = Taking(answer)
    end = adapt_writer(taking)
    put(end, b"x")
    wait_until(lambda: taking.closed_times)
    with pytest.raises(BrokenPipeError):
        os.write(end.fd, b"y")
    assert isinstance(end.error, kind)
    end.close()


# Ending.


def test_closing_wakes_an_author_who_waits_in_read(wait_until: WaitUntil) -> None:
    ours, theirs = socket.socketpair()
    ended: list[bytes] = []

    class Waiting:
        def read(self, size: int) -> bytes:
            ended.append(ours.recv(size))
            return ended[-1]

        def close(self) -> None:
            try:
                ours.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    end = adapt_reader(Waiting())
    end.close()
    wait_until(lambda: ended == [b""])
    ours.close()
    theirs.close()


def test_closing_does_not_wait_for_a_buffered_file_that_is_being_read() -> None:
    ours, theirs = socket.socketpair()
    both = ours.makefile("rwb")  # its descriptor is not to be had
    ours.close()
    end = adapt_reader(both)
    end.close()
    assert "exec close" not in [thread.name for thread in threading.enumerate()], "it would wait"
    theirs.close()  # only now the reading returns


def test_object_is_closed_once_nobody_reads_any_more(wait_until: WaitUntil) -> None:
    closed = []

    class Endless:
        def read(self, size: int) -> bytes:
            return bytes(size)

        def close(self) -> None:
            closed.append(True)
            raise RuntimeError("an author's own trouble")

    end = adapt_reader(Endless())
    assert read_until(end.fd, b"\0")
    end.close()
    wait_until(lambda: closed)


def test_failure_half_way_closes_everything() -> None:
    reading, writing = os.pipe()
    again = os.dup(reading)
    file = io.BytesIO()
    for given in ((object(), reading, file), (file, object(), writing), (10**6, again, None)):
        with pytest.raises(TerminalError):
            adapt_files(*given)
    assert file.closed


def test_no_descriptor_is_left_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    for adapt in (adapt_reader, adapt_writer):
        with (
            tempfile.TemporaryFile() as file,
            pytest.raises(TerminalError, match="can't start new thread") as caught,
        ):
            adapt(file)
        assert caught.value.retryable


# Popen.


def popen(script: str, **options: Any) -> subprocess.Popen[Any]:
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-c", script], **(streams | options))


@pytest.mark.parametrize("options", [{}, {"bufsize": 0}, {"text": True}])
def test_popen_gives_its_three_ends_and_its_status(options: dict[str, Any]) -> None:
    process = popen("import sys; sys.stderr.write(sys.stdin.read()); sys.exit(7)", **options)
    ends = adapt_popen(process)
    assert ends.pid == process.pid
    assert ends.status() is None
    put(ends.stdin, b"to and fro")
    ends.stdin.close()
    assert everything(ends.stdout) == b""
    assert everything(ends.stderr) == b"to and fro"
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert ends.status() == (7, None, "exited with status 7")
    assert process.returncode == 7, "its author can ask it too"


def test_popen_that_a_signal_ends_tells_which() -> None:
    process = popen("import os; os.kill(os.getpid(), 15)", stdin=None, stderr=subprocess.STDOUT)
    ends = adapt_popen(process)
    assert ends.stdin.fd == -1
    assert everything(ends.stdout) == b""
    assert everything(ends.stderr) == b""
    process.wait()
    assert ends.status() == (None, "SIGTERM", "killed by SIGTERM (terminated)")
    ends.stdin.close()


def test_popen_that_has_ended_before_has_no_pid() -> None:
    process = popen("print('hi')")
    process.wait()
    ends = adapt_popen(process)
    assert ends.pid is None
    assert ends.status() == (0, None, "exited with status 0")
    assert everything(ends.stdout) == b"hi\n"
    ends.stdin.close()
    ends.stderr.close()
    assert end_of(process.pid).code is None, "it is not waited for twice"
