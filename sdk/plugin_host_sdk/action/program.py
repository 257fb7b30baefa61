"""Running a program for an action: its output goes to the host, its end is the result.

`run_program` waits on the thread of the handler, and watches pipes, the process, the clock and the
cancellation in one place. Invariants: the program leads a session of its own; a cancelled one, or one out
of time, is asked by SIGTERM and killed after the grace with everything that it started; what the program
itself had written when it ended is sent before `run_program` returns.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import selectors
import signal
import sys
import termios
import time
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import TerminalError, excerpt
from plugin_host_sdk.exec.family import Family
from plugin_host_sdk.exec.process import LOST, close_exit, reap, watch_exit
from plugin_host_sdk.types.action import ScriptResult

from .start import start_program
from .tail import Tail
from .wake import Wake

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.exec.process import Status

    from .identity import Identity

__all__ = ["KEPT_BYTES", "MARK", "run_program"]

KEPT_BYTES = 256 * 1024
"""What a result keeps of each output unless told otherwise."""

MARK = "PLUGIN_HOST_ACTION"
# Every descendant of a host's run carries it, so that none is left when the host is gone.
_RUN_MARK = "PLUGIN_HOST_RUN"
_READ_BYTES = 64 * 1024
_LONGEST_PAUSE_S = 3600.0  # what a selector takes has an end
_LOOK_S = 0.05  # between two looks at what is being killed
_KILL_S = 5.0  # after SIGKILL only the kernel can be slow


def run_program(
    ctx: Context,
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    identity: Identity | None = None,
    timeout: float | None = None,
    kept_bytes: int = KEPT_BYTES,
) -> ScriptResult:
    """Run `argv` for the action of `ctx` and wait for its end.

    `env` is its whole environment, None the plugin's; the marks by which a host finds its own are added.
    `identity` is whom it runs as, without any supplementary group. After `timeout` seconds it is ended.
    What it left running when it ended by itself is left. A program that cannot be started is a result, too:
    its `exec_error` says why.
    """
    if isinstance(argv, (str, bytes)):
        raise TypeError(f"argv of run_program is a list of texts, not the text {excerpt(argv)}")
    began = time.monotonic()
    mark = f"{ctx.action.id}:{secrets.token_hex(4)}"
    given = dict(os.environ if env is None else env)
    if _RUN_MARK in os.environ:
        given[_RUN_MARK] = os.environ[_RUN_MARK]
    given[MARK] = mark
    try:
        pid, stdout, stderr = start_program(argv, cwd=cwd, env=given, identity=identity)
    except TerminalError as error:
        return ScriptResult(success=False, exec_error=error.message, elapsed=time.monotonic() - began)
    program = _Program(ctx, pid, stdout, stderr, Family(pid, f"{MARK}={mark}"), kept_bytes)
    try:
        status = program.run(None if timeout is None else began + timeout, timeout)
    finally:
        program.close()
    return program.result(status, time.monotonic() - began)


class _Pipe:
    """One output. `left` is how much of it is still to be read once its program has ended."""

    def __init__(self, name: str, fd: int, kept: int) -> None:
        self.name = name
        self.fd = fd
        self.tail = Tail(kept)
        self.is_blocked = False
        self.left: int | None = None
        self.is_open = True

    def is_done(self) -> bool:
        return not self.is_blocked and (not self.is_open or self.left == 0)


class _Program:
    """A program that was started."""

    def __init__(self, ctx: Context, pid: int, stdout: int, stderr: int, family: Family, kept: int) -> None:
        self._action = ctx.action
        self._pid = pid
        self._family = family
        self._pipes = (_Pipe("stdout", stdout, kept), _Pipe("stderr", stderr, kept))
        self._status: Status | None = None
        self._why = ""  # it is being ended
        self._timed_out = False
        self._kill_at: float | None = None
        self._give_up_at: float | None = None
        self._wake = Wake()
        self._exit_fd = -1
        self._selector = selectors.DefaultSelector()
        ctx.action.cancelled.listen(self._wake.rouse)

    def run(self, deadline: float | None, timeout: float | None) -> Status:
        """Until it has ended, its output was sent, and nothing is left of one that was ended."""
        selector = self._selector
        self._exit_fd = watch_exit(self._pid)
        selector.register(self._exit_fd, selectors.EVENT_READ, self._look)
        selector.register(self._wake.fd, selectors.EVENT_READ, self._wake.clear)
        for pipe in self._pipes:
            self._watch(pipe)
        while not self._is_over():
            now = time.monotonic()
            if self._status is None and not self._why:
                if self._action.cancelled:
                    self._end(f"cancelled: {self._action.cancelled.reason}", now)
                elif deadline is not None and now >= deadline:
                    self._timed_out = True
                    self._end(f"not done within {timeout:g} s", now)
            self._escalate(now)
            for key, _ in selector.select(self._pause(now, deadline)):
                key.data()
            self._resume()
        return self._status or LOST

    def result(self, status: Status, elapsed: float) -> ScriptResult:
        stdout, stderr = (pipe.tail for pipe in self._pipes)
        return ScriptResult(
            success=status.code == 0 and not self._why,
            code=status.code,
            signal=status.signal,
            reason=f"{self._why}; {status.reason}" if self._why else status.reason,
            stdout=stdout.bytes(),
            stderr=stderr.bytes(),
            stdout_bytes=stdout.total,
            stderr_bytes=stderr.total,
            truncated=stdout.is_cut or stderr.is_cut,
            elapsed=elapsed,
            timed_out=self._timed_out,
        )

    def close(self) -> None:
        """Give back what it took, and leave nothing that was not waited for."""
        self._action.cancelled.forget(self._wake.rouse)
        if self._status is None:
            self._family.look()
            self._family.signal_all(signal.SIGKILL)
            os.waitpid(self._pid, 0)
        self._selector.close()
        for pipe in self._pipes:
            os.close(pipe.fd)
        if self._exit_fd >= 0:
            close_exit(self._exit_fd)
        self._wake.close()

    def _is_over(self) -> bool:
        if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
            return True
        if self._status is None or not all(pipe.is_done() for pipe in self._pipes):
            return False
        # Of one that is ended nothing is left behind, nor what was born since the last look.
        return not self._why or not (self._family.alive() or self._family.look())

    def _pause(self, now: float, deadline: float | None) -> float | None:
        if self._why:
            return _LOOK_S
        if deadline is None or self._status is not None:
            return None
        return min(max(0.0, deadline - now), _LONGEST_PAUSE_S)

    # Output.

    def _watch(self, pipe: _Pipe) -> None:
        self._selector.register(pipe.fd, selectors.EVENT_READ, lambda: self._read(pipe))

    def _unwatch(self, pipe: _Pipe) -> None:
        if pipe.fd in self._selector.get_map():
            self._selector.unregister(pipe.fd)

    def _read(self, pipe: _Pipe) -> None:
        size = _READ_BYTES if pipe.left is None else min(_READ_BYTES, pipe.left)
        if not size:
            return  # its program has ended at the same moment
        try:
            data = os.read(pipe.fd, size)
        except BlockingIOError:
            return
        if not data:
            pipe.is_open = False
            self._unwatch(pipe)
            return
        if pipe.left is not None:
            pipe.left -= len(data)
        pipe.tail.add(data)
        later = self._action.begin_write(pipe.name, data)
        if later is not None:  # the reader takes no more, so the program has to wait
            pipe.is_blocked = True
            self._unwatch(pipe)
            later.then(lambda result, error: self._flowed(pipe))
        elif pipe.left == 0:
            self._unwatch(pipe)

    def _flowed(self, pipe: _Pipe) -> None:
        pipe.is_blocked = False
        self._wake.rouse()

    def _resume(self) -> None:
        known = self._selector.get_map()
        for pipe in self._pipes:
            if pipe.is_open and not pipe.is_blocked and pipe.left != 0 and pipe.fd not in known:
                self._watch(pipe)

    # The end.

    def _look(self) -> None:
        if self._why:
            self._family.look()  # while its number still tells who is in its session
        self._status = reap(self._pid)
        if self._status is None:
            return
        if self._why:
            self._family.signal_all(signal.SIGTERM)  # for those that were born while it was asked
        self._selector.unregister(self._exit_fd)
        for pipe in self._pipes:
            # Others may hold it and write on; what the program wrote is in it now.
            pipe.left = _waiting_bytes(pipe.fd)
            if pipe.left == 0:
                self._unwatch(pipe)

    def _end(self, why: str, now: float) -> None:
        """Ask it to end."""
        self._why = why
        self._kill_at = now + self._action.grace
        self._family.look()
        self._family.signal_all(signal.SIGTERM)

    def _escalate(self, now: float) -> None:
        """Kill what has been asked long enough."""
        if self._kill_at is None:
            return
        if self._action.cancelled:  # again, with less patience
            self._kill_at = min(self._kill_at, now + self._action.grace)
        if now >= self._kill_at:
            self._family.look()
            self._family.signal_all(signal.SIGKILL)
            if self._give_up_at is None:
                self._give_up_at = now + _KILL_S


def _waiting_bytes(fd: int) -> int:
    """How many bytes can be read from a pipe now."""
    answer = fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0")
    return int.from_bytes(answer, sys.byteorder)
