"""A shell on the guest's side: a program on a terminal or pipes, and its websocket."""

from __future__ import annotations

import fcntl
import os
import queue
import signal
import struct
import subprocess
import termios
import threading

from tests.guest.tools.websocket import Websocket

_BLOCK = 16 * 1024
_WINDOW = 64 * 1024


class Shell:
    """Runs `command` for the websocket, until both have ended."""

    def __init__(self, websocket: Websocket, command: list[str], env: dict[str, str], tty: bool) -> None:
        self._websocket = websocket
        self._credit = {1: _WINDOW, 2: _WINDOW}
        self._changed = threading.Condition()
        self._typed: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._terminal = -1
        if tty:
            self._terminal, slave = os.openpty()
            self._process = subprocess.Popen(
                command, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
            )
            os.close(slave)
            self._stdin = self._terminal
            self._outputs = {1: self._terminal}
        else:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
            )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            assert self._process.stderr is not None
            self._stdin = os.dup(self._process.stdin.fileno())
            self._process.stdin.close()
            self._outputs = {1: self._process.stdout.fileno(), 2: self._process.stderr.fileno()}

    def run(self) -> None:
        listening = threading.Thread(target=self._listen, daemon=True)
        listening.start()
        threading.Thread(target=self._feed, daemon=True).start()
        sending = [threading.Thread(target=self._pump, args=item) for item in self._outputs.items()]
        for thread in sending:
            thread.start()
        code = self._process.wait()
        for thread in sending:
            thread.join()
        self._websocket.send(bytes([5, 0 if code == 0 else 1]))
        listening.join(5)

    def _pump(self, stream: int, fd: int) -> None:
        """Send an output, as far as there is credit."""
        while data := _read(fd):
            with self._changed:
                self._changed.wait_for(lambda data=data: self._credit[stream] >= len(data))  # type: ignore[misc]
                self._credit[stream] -= len(data)
            self._websocket.send(bytes([0, stream]) + data)
        self._websocket.send(bytes([0, stream]))

    def _listen(self) -> None:
        while (message := self._websocket.receive()) is not None:
            kind, body = message[0], message[1:]
            if kind == 0:
                self._typed.put(body[1:])
            elif kind == 1:
                with self._changed:
                    self._credit[body[0]] += int.from_bytes(body[1:], "big")
                    self._changed.notify_all()
            elif kind == 3 and self._terminal >= 0:
                cols, rows = struct.unpack("!HH", body)
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
            elif kind == 4:
                self._end()
        if self._process.poll() is None:
            self._end()
        self._typed.put(b"")
        self._websocket.close()

    def _feed(self) -> None:
        """Write what was typed, apart from who listens: a program that does not read must not stop that."""
        while data := self._typed.get():
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[os.write(self._stdin, rest) :]
                self._websocket.send(bytes([1, 0]) + len(data).to_bytes(4, "big"))
            except OSError:
                pass  # the program, or the host, is gone
        os.close(self._stdin)

    def _end(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _BLOCK)
    except OSError:  # the end of a terminal
        return b""
