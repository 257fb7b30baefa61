"""Starts `plugin-host` quickly: each command is a fork of one process that has imported it already.

Most of what a command costs is the import of the same modules. A fork has its own process, environment,
folder and pipes, runs the entry point and leaves through the interpreter's ordinary end. What a start
imports, and how the interpreter is set up by its environment, is tested by commands that are not forks.

Invariant: one command at a time; after a failure the server is gone and `run` is not to be called.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import pytest

__all__ = ["ForkServer", "cli_server"]

_PROGRAM = Path(__file__).with_name("cli_server.py")


class ForkServer:
    """The server's process, and the test's end of the socket to it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # Pipes, so that its standard streams are buffered as those of the commands are.
            self._process = subprocess.Popen(
                [sys.executable, _PROGRAM, str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )

    @property
    def is_up(self) -> bool:
        return self._socket.fileno() >= 0

    def run(
        self,
        words: Sequence[str],
        data: bytes,
        env: Mapping[str, str],
        timeout: float,
        *,
        folder: Path | None = None,
        joined: bool = False,
    ) -> tuple[int, bytes, bytes]:
        """Run one command with `data` as its stdin; its status, stdout and stderr (on stdout if `joined`).

        `words` are those of `plugin-host`, or `-c` and a program. A negative status is a signal's number.
        Raises TimeoutError after `timeout` seconds, and the command is killed.
        """
        pid = 0
        self._socket.settimeout(timeout)
        try:
            with _Pipes(data, joined) as pipes:
                request = json.dumps([list(words), dict(env), os.fspath(folder or Path.cwd())]).encode()
                socket.send_fds(self._socket, [request], pipes.give())
                pipes.given()
                pid = int(self._answer())
                status = int(self._answer())
                out, err = pipes.collect()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                if pid:
                    os.kill(pid, signal.SIGKILL)
            self.stop()
            raise
        return status, out, err

    def stop(self) -> None:
        """End the server; what it runs is left alone."""
        self._socket.close()
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> bytes:
        answer = self._socket.recv(64)
        if not answer:
            raise ConnectionError("the server of commands has ended")
        return answer


@pytest.fixture(scope="session")
def cli_server() -> Iterator[ForkServer | None]:
    """Starts commands quickly; none where coverage is measured, which it is from a process's start."""
    if "coverage" in sys.modules:
        yield None
        return
    server = ForkServer()
    yield server
    if server.is_up:
        server.stop()


class _Pipes:
    """The standard streams of one command, written and read by threads as fast as it wants."""

    def __init__(self, data: bytes, joined: bool) -> None:
        self._data = data
        self._joined = joined
        self._read: dict[str, bytes] = {}

    def __enter__(self) -> _Pipes:
        ends = [os.pipe() for _ in range(3)]
        self._theirs = [ends[0][0], ends[1][1], ends[2][1]]
        if self._joined:
            os.dup2(ends[1][1], ends[2][1])
        self._threads = [
            threading.Thread(target=self._write, args=[open(ends[0][1], "wb", buffering=0)]),
            threading.Thread(target=self._drain, args=["out", open(ends[1][0], "rb")]),
            threading.Thread(target=self._drain, args=["err", open(ends[2][0], "rb")]),
        ]
        return self

    def give(self) -> list[int]:
        """The descriptors that are the command's."""
        return self._theirs

    def given(self) -> None:
        """They have been sent: keep none of them, and start to write and read."""
        while self._theirs:
            os.close(self._theirs.pop())
        for thread in self._threads:
            thread.start()

    def collect(self) -> tuple[bytes, bytes]:
        """Everything on stdout and stderr, once nobody holds them any more."""
        for thread in self._threads:
            thread.join()
        return self._read["out"], self._read["err"]

    def __exit__(self, *exc_info: object) -> None:
        while self._theirs:
            os.close(self._theirs.pop())

    def _write(self, end: IO[bytes]) -> None:
        left = memoryview(self._data)
        with end, contextlib.suppress(BrokenPipeError):
            while left:
                left = left[end.write(left) :]

    def _drain(self, name: str, end: IO[bytes]) -> None:
        with end:
            self._read[name] = end.read()
