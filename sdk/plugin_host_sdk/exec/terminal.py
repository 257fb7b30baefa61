"""Pseudo-terminals: opening them, starting programs on them, and what can be asked of one.

The programs are started by ptyprocess; the descriptor is ours from the first moment, so none of its own
endings (which sleep, and kill) ever runs. Reaping the program is its owner's task, not the terminal's.

Ownership: a terminal owns `master_fd` until `close`. One that was opened bare also keeps its other end
open, so that the master does not seem ended before anybody has come: the first `open_slave` hands that
very descriptor out. So the master reads as ended (EIO) once all that `open_slave` gave are closed.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import resource
import signal
import sys
import termios
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ptyprocess import PtyProcess

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.protocol import LARGEST_SIZE

from .executable import explain_failure, find_executable, refusal
from .spawning import SPAWN_LOCK, bad_folder, expect_fork, make_raw, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from .identity import Identity
    from .spawning import Start

__all__ = ["RealTerminal", "RealTerminalFactory", "Terminal", "TerminalFactory"]

_END_OF_FILE = b"\x04"
_NEEDED = 6  # descriptors at the most while a program is started on a terminal
# Of Linux: the other end without a name, whatever is mounted where (TIOCGPTPEER); its number (TIOCGPTN).
_GET_SLAVE, _GET_NUMBER = 0x5441, 0x80045430


class Terminal(Protocol):
    """One terminal as a session holds it. `pid` leads a session of its own; None: nothing was started."""

    @property
    def pid(self) -> int | None: ...
    @property
    def master_fd(self) -> int:
        """The descriptor of our end: non-blocking, not inheritable, owned by the terminal."""

    def open_slave(self) -> int:
        """A descriptor of the other end, the caller's to close. Raises TerminalError."""

    def resize(self, rows: int, cols: int) -> None:
        """Give it a size, 1 to 65535 each way. Raises TerminalError."""

    def foreground_group(self) -> int | None:
        """The process group that has the terminal."""

    def end_of_file(self) -> bytes:
        """The character that means the end of input, as set at the moment."""

    def close(self) -> None:
        """Hang up. Idempotent, never blocks."""


class TerminalFactory(Protocol):
    """Makes terminals, in the state in which shells find them, or `raw`.

    Both raise TerminalError with `errno`, `file` and `reason` in its data.
    """

    def open(self, rows: int, cols: int, *, raw: bool = False) -> Terminal:
        """A terminal with nothing on it."""

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str | None,
        env: Mapping[str, str],
        rows: int,
        cols: int,
        identity: Identity | None = None,
        raw: bool = False,
    ) -> Terminal:
        """A program on a terminal of its own; `env` is its whole environment, None the plugin's user."""


class RealTerminalFactory:
    """Terminals of the system."""

    def open(self, rows: int, cols: int, *, raw: bool = False) -> RealTerminal:
        _check_size(rows, cols)
        try:
            with SPAWN_LOCK:
                master, slave = os.openpty()
        except OSError as error:
            raise _no_terminal(error) from None
        os.set_blocking(master, False)
        terminal = RealTerminal(master, slave=slave)
        try:
            terminal.resize(rows, cols)
            if raw:
                make_raw(slave)
        except OSError as error:
            terminal.close()
            raise _no_terminal(error) from None
        except TerminalError:
            terminal.close()
            raise
        return terminal

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str | None,
        env: Mapping[str, str],
        rows: int,
        cols: int,
        identity: Identity | None = None,
        raw: bool = False,
    ) -> RealTerminal:
        _check_size(rows, cols)
        child = _spawn(prepare(argv, cwd, env, identity, raw=raw), rows, cols)
        return RealTerminal(child.fd, pid=child.pid)


class RealTerminal:
    """A pseudo-terminal; see `Terminal`."""

    __slots__ = ("_lock", "_slave", "master_fd", "pid")

    def __init__(self, master_fd: int, *, pid: int | None = None, slave: int = -1) -> None:
        self.master_fd = master_fd
        self.pid = pid
        self._slave = slave
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<RealTerminal fd={self.master_fd} pid={self.pid}>"

    def open_slave(self) -> int:
        with self._lock:
            self._check_open()
            if self._slave >= 0:
                slave, self._slave = self._slave, -1
                return slave
            try:
                return _open_slave(self.master_fd)
            except OSError as error:
                raise _unusable("the other end of the terminal cannot be opened", error) from None

    def resize(self, rows: int, cols: int) -> None:
        _check_size(rows, cols)
        with self._lock:
            self._check_open()
            try:
                termios.tcsetwinsize(self.master_fd, (rows, cols))
            except (OSError, termios.error) as error:
                raise _unusable(f"the terminal does not take the size {rows} x {cols}", error) from None

    def foreground_group(self) -> int | None:
        with self._lock:
            try:
                return os.tcgetpgrp(self.master_fd) or None if self.master_fd >= 0 else None
            except OSError:
                return None

    def end_of_file(self) -> bytes:
        with self._lock:
            try:
                mark = termios.tcgetattr(self.master_fd)[6][termios.VEOF] if self.master_fd >= 0 else b""
            except (OSError, termios.error):
                mark = b""
        # A null character is how a terminal says that there is none.
        return mark if isinstance(mark, bytes) and mark not in (b"", b"\0") else _END_OF_FILE

    def close(self) -> None:
        with self._lock:
            fds = [fd for fd in (self.master_fd, self._slave) if fd >= 0]
            self.master_fd = self._slave = -1
        for fd in fds:
            os.close(fd)

    def _check_open(self) -> None:
        if self.master_fd < 0:
            raise refusal("the terminal is closed", "closed", errno.EBADF, "")


class _Child(PtyProcess):  # type: ignore[misc]  # it has no types
    """A process as ptyprocess knows it, without descriptors it would close or signals it would send."""

    def __init__(self, pid: int, fd: int) -> None:
        self.pid: int = pid
        self.fd: int = fd
        self.closed = True  # so that it never ends anything by itself
        # Made inheritable by the system.
        os.set_inheritable(fd, False)
        _started.append(self)


# The child of the start that holds the lock, also of one that fails.
_started: list[_Child] = []


def _spawn(start: Start, rows: int, cols: int) -> _Child:
    with SPAWN_LOCK, _no_collection():
        expect_fork("forkpty", "pty")
        try:
            # The program is made sure of, and executed, by `become`: ptyprocess would search the plugin's
            # PATH, and change the folder where an error would leave two plugins running.
            child: _Child = _Child.spawn([start.file], preexec_fn=start.become, dimensions=(rows, cols))
            os.set_blocking(child.fd, False)
            return child
        except BaseException as error:
            if _started:
                _discard(_started[0])
            else:
                _close_leftovers(error.__traceback__)
            if isinstance(error, OSError):
                raise _explain(start, bool(_started), error) from None
            raise
        finally:
            _started.clear()


def _explain(start: Start, was_forked: bool, error: OSError) -> TerminalError:
    if isinstance(error, FileNotFoundError) and not was_forked:
        return _vanished(start)
    if not was_forked:
        return _no_terminal(error)
    step, _, number = str(error.args[0] if error.args else "").partition(" ")
    if step == "chdir" and number.isdigit():
        return bad_folder(start.cwd or "", int(number))
    if step == "terminal":
        return _no_terminal(OSError(int(number), "it cannot be made raw"))
    if step == "identity" and start.identity is not None:
        return start.identity.refused(int(number) if number.isdigit() else 0)
    return explain_failure(start.path, start.file, int(number) if number.isdigit() else error.errno or 0)


def _vanished(start: Start) -> TerminalError:
    """The program is not any more what it was when it was looked for."""
    try:
        find_executable(start.argv[0], start.cwd, start.env)
    except TerminalError as error:
        return error
    return explain_failure(start.path, start.file, errno.ENOENT)


def _discard(child: _Child) -> None:
    """End and reap a child that did not become what it should."""
    os.close(child.fd)
    try:
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # reaped by the author's own code


def _close_leftovers(trace: TracebackType | None) -> None:
    """Close what ptyprocess and pty had opened when there was no terminal or process to be had.

    They leave these descriptors open; with a scarcity of descriptors as the cause, it would stay for ever.
    """
    names = ("exec_err_pipe_read", "exec_err_pipe_write", "master_fd", "slave_fd")
    while trace is not None:
        if trace.tb_frame.f_code.co_name in ("spawn", "fork"):
            left = [trace.tb_frame.f_locals.get(name) for name in names]
            for fd in left:
                if type(fd) is int:
                    os.close(fd)
        trace = trace.tb_next


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the collector from running the plugin's finalisers in a forked child."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _open_slave(master: int) -> int:
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    ptsname = getattr(os, "ptsname", None)  # new in 3.13
    try:
        return fcntl.ioctl(master, _GET_SLAVE, flags)
    except OSError:
        pass  # not Linux, or one before 4.13
    if ptsname is not None:
        return os.open(ptsname(master), flags)
    number = int.from_bytes(fcntl.ioctl(master, _GET_NUMBER, bytes(4)), sys.byteorder)
    return os.open(f"/dev/pts/{number}", flags)


def _check_size(rows: int, cols: int) -> None:
    if not (1 <= rows <= LARGEST_SIZE and 1 <= cols <= LARGEST_SIZE):
        raise refusal(
            f"a terminal has 1 to {LARGEST_SIZE} rows and columns, not {rows} x {cols}",
            "invalid",
            errno.EINVAL,
            "",
        )


def _no_terminal(error: OSError) -> TerminalError:
    # The standard library says "out of pty devices" without a number.
    number = error.errno or (errno.EMFILE if _has_few_descriptors() else errno.ENOSPC)
    return refusal(
        f"no terminal could be opened: {error.strerror or error}; end other sessions or raise the limits",
        "system",
        number,
        "",
    )


def _has_few_descriptors() -> bool:
    """Whether a start would need more of them than are left."""
    try:
        return len(os.listdir("/dev/fd")) + _NEEDED > resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except OSError as error:
        return error.errno == errno.EMFILE


def _unusable(what: str, error: Exception) -> TerminalError:
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    return refusal(f"{what}: {os.strerror(number) if number else error}", "system", number, "")
