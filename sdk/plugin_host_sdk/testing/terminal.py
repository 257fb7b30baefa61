"""A terminal whose program is played by a test.

It is a real pair of descriptors in raw mode, so what is written at one end arrives at the other byte for
byte, can be waited for, and ends as the system's terminals end. In the place of a spawned program there is
a process that does nothing and ends when the test says so.
"""

from __future__ import annotations

import os
import select
import threading
import tty
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import TerminalError

from .standin import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from plugin_host_sdk.exec.terminal import RealTerminal

__all__ = ["FakeTerminal"]

_CHUNK = 64 * 1024
_CLOSED = "the manager has closed the terminal"


class FakeTerminal:
    """A terminal; `argv`, `cwd` and `env` are what was to be spawned on it, None when nothing was.

    `raw` is whether it was to be in raw mode, as a fake one always is.

    `sizes` are the sizes it was given, as (rows, cols), the first one included. `group` is what has the
    terminal: the stand-in of a spawned program, unless a test sets another. All methods may be called from
    any thread.
    """

    def __init__(
        self,
        real: RealTerminal,
        rows: int,
        cols: int,
        *,
        argv: Sequence[str] | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        raw: bool = False,
    ) -> None:
        self.argv = None if argv is None else list(argv)
        self.cwd = cwd
        self.env = None if env is None else dict(env)
        self.raw = raw
        self.sizes = [(rows, cols)]
        self.group: int | None = None
        self._real = real
        self._changed = threading.Condition()
        self._is_closed = False
        self._fd = -1  # the program's, once it is played
        self._users = 0
        self._has_hung_up = False
        self._keeps_open = False
        self._input = bytearray()  # read and not yet asked for
        self._has_input_ended = False
        self._stand_in: StandIn | None = None
        tty.setraw(real.master_fd)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "hung up" if self._has_hung_up else "open"
        return f"<FakeTerminal {state} argv={self.argv} size={self.sizes[-1]}>"

    # The manager's side.

    @property
    def pid(self) -> int | None:
        """The stand-in of a spawned program."""
        return self._stand_in.pid if self._stand_in is not None else None

    @property
    def master_fd(self) -> int:
        return self._real.master_fd

    def open_slave(self) -> int:
        return self._real.open_slave()

    def resize(self, rows: int, cols: int) -> None:
        self._real.resize(rows, cols)
        with self._changed:
            self.sizes.append((rows, cols))
            self._changed.notify_all()

    def foreground_group(self) -> int | None:
        return self.group

    def end_of_file(self) -> bytes:
        return self._real.end_of_file()

    def close(self) -> None:
        """Hang up. Input that had arrived can still be read."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            if self._fd >= 0:
                self._read_available(self._fd)
        self._real.close()
        self.hang_up()
        if self._stand_in is not None:
            self._stand_in.release()
        with self._changed:
            self._changed.notify_all()

    # The program's side, which is the test's.

    @property
    def is_closed(self) -> bool:
        """Whether the manager has closed it."""
        return self._is_closed

    def write_output(self, data: bytes, timeout: float = 5.0) -> None:
        """Put out all of `data`, waiting while it is not read. Raises TimeoutError, TerminalError."""
        left, until = memoryview(data), monotonic() + timeout
        with self._borrowed() as fd:
            if fd < 0:
                raise TerminalError(_CLOSED if self._is_closed else "the program has hung up")
            while left:
                if not _is_ready(fd, select.POLLOUT, until):
                    raise TimeoutError(f"{len(left)} of {len(data)} bytes were not taken in {timeout:g} s")
                try:
                    left = left[os.write(fd, left) :]
                except BlockingIOError:
                    pass  # ready for less than it would take
                except OSError as error:
                    raise TerminalError(_CLOSED) from error

    def read_input(self, size: int, timeout: float = 5.0) -> bytes:
        """The next `size` bytes of input. Raises TimeoutError; what did arrive can still be read."""
        return self._take(lambda: size if len(self._input) >= size else -1, f"{size} bytes", timeout)

    def wait_for_input(self, data: bytes, timeout: float = 5.0) -> bytes:
        """The input up to the end of the first `data` in it. Raises TimeoutError as `read_input` does."""

        def found() -> int:
            at = self._input.find(data)
            return at + len(data) if at >= 0 else -1

        return self._take(found, repr(data), timeout)

    def wait_for_size(self, rows: int, cols: int, timeout: float = 5.0) -> None:
        """Wait until it was given this size last. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.sizes[-1] == (rows, cols), timeout):
                raise TimeoutError(f"the size is {self.sizes[-1]} after {timeout:g} s, not {(rows, cols)}")

    def wait_for_close(self, timeout: float = 5.0) -> None:
        """Wait until the manager has closed it. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_closed, timeout):
                raise TimeoutError(f"the terminal is still open after {timeout:g} s")

    def hang_up(self) -> None:
        """Let go of the program's end: once its output has been read, the terminal is at its end.

        Input that had arrived can still be read.
        """
        with self._changed:
            self._has_hung_up = True
            self._let_go()

    def finish(self, code: int = 0, *, signal: str | None = None, keep_open: bool = False) -> None:
        """End the spawned program with an exit code, or by a signal's name, and hang up.

        With `keep_open` the test goes on as a child of the program that still has the terminal. Raises
        TerminalError when nothing was spawned.
        """
        if self._stand_in is None:
            raise TerminalError("nothing was spawned on this terminal: its handler ends it")
        self._keeps_open = keep_open
        self._stand_in.end(code, signal)
        if not keep_open:
            self.hang_up()

    def reap(self) -> None:
        """Take the exit status of a closed terminal's program, if nobody has."""
        if self._stand_in is not None:
            self._stand_in.reap()

    def start(self, env: Mapping[str, str]) -> None:
        """Start the stand-in of a spawned program, with its whole environment. The factory does."""
        with self._changed:
            self._play()
        self._stand_in = StandIn(env, self._program_exited)
        self.group = self._stand_in.pid

    def _program_exited(self) -> None:
        if not self._keeps_open:
            self.hang_up()

    # The program's descriptor: closed by `hang_up`, or by the last method that still uses it.

    def _play(self) -> None:
        if self._fd < 0 and not self._has_hung_up:
            self._fd = self._real.open_slave()
            os.set_blocking(self._fd, False)

    def _let_go(self) -> None:
        if self._has_hung_up and self._users == 0 and self._fd >= 0:
            self._read_available(self._fd)
            fd, self._fd = self._fd, -1
            os.close(fd)

    @contextmanager
    def _borrowed(self) -> Iterator[int]:
        with self._changed:
            self._play()
            fd = -1 if self._has_hung_up else self._fd
            self._users += 1
        try:
            yield fd
        finally:
            with self._changed:
                self._users -= 1
                self._let_go()

    def _take(self, length: Callable[[], int], what: str, timeout: float) -> bytes:
        """The input's first `length()` bytes, once that is not negative."""
        until = monotonic() + timeout
        with self._borrowed() as fd:
            while True:
                with self._changed:
                    if fd >= 0:
                        self._read_available(fd)
                    size = length()
                    if size >= 0:
                        taken = bytes(self._input[:size])
                        del self._input[:size]
                        return taken
                if fd < 0 or self._has_input_ended:
                    raise TerminalError(f"the input ended before {what} came: {bytes(self._input)!r}")
                if not _is_ready(fd, select.POLLIN, until):
                    raise TimeoutError(f"no {what} of input in {timeout:g} s, only {bytes(self._input)!r}")

    def _read_available(self, fd: int) -> None:
        try:
            while data := os.read(fd, _CHUNK):
                self._input += data
        except BlockingIOError:
            return
        except OSError:
            pass  # how the end of a terminal may look
        self._has_input_ended = True


def _is_ready(fd: int, events: int, until: float) -> bool:
    """Wait for the descriptor; False when it is past `until`."""
    poll = select.poll()
    poll.register(fd, events)
    return bool(poll.poll(max(0.0, until - monotonic()) * 1000))
