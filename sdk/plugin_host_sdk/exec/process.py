"""Programs on pipes, and the ends of all programs: starting, noticing an exit, taking the status.

Ownership: the three descriptors of a `PipeProcess` are the caller's from the start. `watch_exit` gives a
descriptor that the caller gives back to `close_exit`. `reap` takes the status once.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, NamedTuple

from plugin_host_sdk.errors import TerminalError

from .executable import explain_failure, refusal
from .spawning import SPAWN_LOCK, Start, bad_folder, expect_fork, has_ordinary_signals, prepare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .identity import Identity

__all__ = [
    "LOST",
    "PipeProcess",
    "Status",
    "close_exit",
    "describe_code",
    "describe_signal",
    "describe_status",
    "reap",
    "spawn_merged",
    "spawn_pipes",
    "watch_exit",
]

# A kernel or a sandbox without pidfds.
_REFUSED = frozenset({errno.ENOSYS, errno.EPERM, errno.EINVAL})

_WORDS = {
    "SIGHUP": "hang-up",
    "SIGINT": "interrupt",
    "SIGQUIT": "quit",
    "SIGILL": "illegal instruction",
    "SIGTRAP": "trace trap",
    "SIGABRT": "aborted",
    "SIGBUS": "bus error",
    "SIGFPE": "arithmetic error",
    "SIGSEGV": "segmentation fault",
    "SIGPIPE": "broken pipe",
    "SIGALRM": "alarm clock",
    "SIGTERM": "terminated",
    "SIGXCPU": "processor time limit exceeded",
    "SIGXFSZ": "file size limit exceeded",
    "SIGSYS": "forbidden system call",
}


class PipeProcess(NamedTuple):
    """A program on three pipes. Our ends are non-blocking, not inheritable, and the caller's to close."""

    pid: int
    stdin_fd: int
    stdout_fd: int
    stderr_fd: int


class Status(NamedTuple):
    """How a process ended: `code`, or `signal` by name, or neither when nobody knows; `reason` in words."""

    code: int | None
    signal: str | None
    reason: str


LOST = Status(None, None, "it ended, but its status was taken by somebody else in the plugin's process")


def spawn_pipes(
    argv: Sequence[str], *, cwd: str | None, env: Mapping[str, str], identity: Identity | None = None
) -> PipeProcess:
    """Start a program on pipes, as the leader of a session of its own; `env` is its whole environment.

    Raises TerminalError as starting on a terminal does.
    """
    start = prepare(argv, cwd, env, identity)
    ours: list[int] = []
    theirs: list[int] = []
    try:
        with SPAWN_LOCK:
            for is_input in (True, False, False):
                reading, writing = os.pipe()
                ours.append(writing if is_input else reading)
                theirs.append(reading if is_input else writing)
                os.set_blocking(ours[-1], False)
            pid = _popen(start, theirs)
    except BaseException as error:
        for fd in ours:
            os.close(fd)
        if isinstance(error, OSError):
            raise refusal(
                f"no pipes for {start.path!r}: {error.strerror}", "system", error.errno or 0, start.path
            ) from None
        raise
    finally:
        for fd in theirs:
            os.close(fd)
    return PipeProcess(pid, *ours)


def spawn_merged(
    argv: Sequence[str], *, cwd: str | None, env: Mapping[str, str], identity: Identity | None = None
) -> tuple[int, int]:
    """The same with one pipe for stdout and stderr, in the order of its writes, and no input: pid and pipe.

    The descriptor is non-blocking, not inheritable, and the caller's to close.
    """
    start = prepare(argv, cwd, env, identity)
    with SPAWN_LOCK:
        try:
            reading, writing = os.pipe()
        except OSError as error:
            message = f"no pipe for {start.path!r}: {error.strerror}"
            raise refusal(message, "system", error.errno or 0, start.path) from None
        try:
            os.set_blocking(reading, False)
            return _popen(start, (subprocess.DEVNULL, writing, writing)), reading
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)


def _popen(start: Start, ends: Sequence[int]) -> int:
    """Start it on `ends` and give its pid. Raises TerminalError."""
    who = start.identity
    # Slow, and needed only where signals are ignored or blocked.
    restore = None if has_ordinary_signals() else start.restore_signals
    if who is not None:
        restore = start.settle
    if restore is not None:
        expect_fork("fork", "subprocess")
    try:
        popen = subprocess.Popen(
            start.argv,
            executable=start.path,
            stdin=ends[0],
            stdout=ends[1],
            stderr=ends[2],
            cwd=start.cwd,
            env=start.env,
            close_fds=True,
            start_new_session=True,
            preexec_fn=restore,
            user=None if who is None else who.uid,
            group=None if who is None else who.gid,
            extra_groups=None if who is None else who.groups,
        )
    except OSError as error:
        number = error.errno or 0
        if start.cwd is not None and error.filename == start.cwd:
            raise bad_folder(start.cwd, number) from None
        raise explain_failure(start.path, start.file, number) from None
    except subprocess.SubprocessError as error:
        if who is not None and start.cwd is not None:
            raise bad_folder(start.cwd, errno.EACCES) from None
        raise TerminalError(f"{start.path!r} could not be started: {error}") from None
    # Reaping is ours: a Popen that is dropped before would complain, and reap the process at any time.
    popen.returncode = 0
    return popen.pid


# The end of a process.


def watch_exit(pid: int) -> int:
    """A descriptor that is readable once process `pid`, a child of ours, has ended. It does not reap.

    A process that is not there any more has ended. Raises TerminalError when no descriptor is left.
    """
    try:
        for watch in (_pidfd, _kqueue):
            fd = watch(pid)
            if fd >= 0:
                return fd
        return _waiter(pid)
    except OSError as error:
        raise refusal(
            f"the end of process {pid} cannot be watched: {error.strerror}", "system", error.errno or 0, ""
        ) from None


def close_exit(fd: int) -> None:
    """Give back what `watch_exit` gave."""
    os.close(fd)


def reap(pid: int) -> Status | None:
    """Take the status of process `pid`, a child of ours; None while it runs. Never waits."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return LOST
    return describe_status(status) if found else None


def describe_status(status: int) -> Status:
    """What `os.waitpid` said, in words."""
    if os.WIFSIGNALED(status):
        return describe_signal(os.WTERMSIG(status), os.WCOREDUMP(status))
    return describe_code(os.WEXITSTATUS(status))


def describe_code(code: int) -> Status:
    """A process that ended by itself."""
    return Status(code, None, f"exited with status {code}")


def describe_signal(number: int, core_dumped: bool = False) -> Status:
    """A process that a signal ended."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"SIG{number}"  # one of the real-time signals
    details = [word for word in (_WORDS.get(name), "core dumped" if core_dumped else None) if word]
    words = f" ({', '.join(details)})" if details else ""
    return Status(None, name, f"killed by {name}{words}")


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return _at_once()
    except AttributeError:
        return -1
    except OSError as error:
        if error.errno in _REFUSED:
            return -1
        raise


def _kqueue(pid: int) -> int:
    kqueue: Any = getattr(select, "kqueue", None)
    if kqueue is None:
        return -1
    # The constants exist where the function does.
    event = _of_select("kevent")(
        pid, _of_select("KQ_FILTER_PROC"), _of_select("KQ_EV_ADD"), _of_select("KQ_NOTE_EXIT")
    )
    with kqueue() as queue:
        try:
            queue.control([event], 0)
        except ProcessLookupError:
            return _at_once()
        return os.dup(queue.fileno())


def _of_select(name: str) -> Any:
    return getattr(select, name)


def _waiter(pid: int) -> int:
    """A thread waits; for old kernels and for sandboxes that refuse pidfds."""
    reading, writing = os.pipe()

    def wait() -> None:
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            pass  # somebody else has reaped it
        os.close(writing)

    try:
        threading.Thread(target=wait, name=f"exit of {pid}", daemon=True).start()
    except RuntimeError as error:
        os.close(reading)
        os.close(writing)
        raise OSError(errno.EAGAIN, str(error)) from None
    return reading


def _at_once() -> int:
    reading, writing = os.pipe()
    os.close(writing)
    return reading
