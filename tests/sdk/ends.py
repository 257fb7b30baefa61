"""What tests of programs need at their ends: waiting for output, for the exit, and for /proc to say so."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from plugin_host_sdk.exec.file import ReadEnd, WriteEnd
from plugin_host_sdk.exec.process import PipeProcess, Status, close_exit, reap, watch_exit

PATIENCE_S = 10.0
EVERY = bytes(range(256))
ENV = {"PATH": os.environ["PATH"], "LC_ALL": "C"}


def read_all(fd: int) -> bytes:
    """Everything up to the end of a pipe or terminal; fails when there is none in time."""
    data = b""
    while (piece := _piece(fd, data)) != b"":
        data += piece
    return data


def read_until(fd: int, wanted: bytes) -> bytes:
    """Everything up to the read that completes `wanted`."""
    data = b""
    while wanted not in data:
        piece = _piece(fd, data)
        assert piece, f"the end came before {wanted!r}: {data!r}"
        data += piece
    return data


def _piece(fd: int, so_far: bytes) -> bytes:
    assert is_ready(fd, PATIENCE_S), f"nothing more in time after {so_far!r}"
    try:
        return os.read(fd, 65536)
    except OSError:  # how the end of a terminal looks
        return b""


def is_ready(fd: int, timeout: float = 0.0) -> bool:
    """Whether something can be read, or the end is reached."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def end_of(pid: int) -> Status:
    """How the process ends; reaps it."""
    watched = watch_exit(pid)
    try:
        assert is_ready(watched, PATIENCE_S), f"process {pid} still runs"
    finally:
        close_exit(watched)
    status = reap(pid)
    assert status is not None
    return status


def kill(pid: int) -> None:
    """End a child that has done its part."""
    os.kill(pid, signal.SIGKILL)
    end_of(pid)


def close_pipes(process: PipeProcess) -> None:
    for fd in process[1:]:
        os.close(fd)


def outcome(process: PipeProcess) -> tuple[bytes, bytes, Status]:
    """What a program says that wants no input, and how it ends."""
    os.close(process.stdin_fd)
    said, complained = read_all(process.stdout_fd), read_all(process.stderr_fd)
    os.close(process.stdout_fd)
    os.close(process.stderr_fd)
    return said, complained, end_of(process.pid)


def descriptors() -> set[int]:
    """Those of this process."""
    fds = {int(name) for name in os.listdir("/proc/self/fd")}
    return {fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")}


def has_children() -> bool:
    """Whether this process has any, ended ones included; without the one that starts commands for tests."""
    return any(not _starts_commands(child) for child in psutil.Process().children())


def _starts_commands(child: psutil.Process) -> bool:
    try:
        return any(word.endswith("cli_server.py") for word in child.cmdline())
    except psutil.Error:
        return False


def signal_set(status: bytes, field: str) -> set[int]:
    """The signals of one line of /proc/<pid>/status, as in `signal_set(status, "SigIgn")`.

    Without 32 and 33, which are the C library's own: no program can change them, or what it inherits.
    """
    (line,) = [line for line in status.splitlines() if line.startswith(field.encode())]
    mask = int(line.split()[1], 16)
    return {number for number in range(1, 65) if mask & 1 << number - 1} - {32, 33}


@contextmanager
def handling(number: int, handler: signal._HANDLER) -> Iterator[None]:
    """This process handles a signal so, for a while."""
    previous = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, previous)


# Of an author's files.


def everything(end: ReadEnd) -> bytes:
    """All of it; closes the end."""
    assert_pollable(end.fd)
    data = end.buffered + read_all(end.fd)
    end.close()
    return data


def assert_pollable(fd: int) -> None:
    assert not os.get_blocking(fd)
    assert not os.get_inheritable(fd)
    with select.epoll() as poll:
        poll.register(fd)  # refuses regular files


def put(end: WriteEnd, data: bytes) -> None:
    """Write all of it, waiting for room."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(end.fd, view) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(end.fd, select.POLLOUT)
            assert poll.poll(10_000), "no room"
