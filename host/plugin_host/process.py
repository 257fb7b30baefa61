"""One plugin process: spawning it, and everything the host holds of it until it is gone.

Owns the pid (through its reaper), the channel and the stderr pipe, and closes them together. It knows no
protocol: the bytes of the channel are the link's. Used from the thread of the loop it was spawned in.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import subprocess
import time
from dataclasses import dataclass, field
from signal import SIGKILL
from typing import TYPE_CHECKING, Literal, Protocol

from .channel import open_pipes, open_socketpair
from .diagnosis import diagnose
from .dumpfile import DumpFile
from .exitstatus import MAXRSS_UNIT, ExitStatus
from .processtable import is_ending
from .reaper import Reaper
from .sparedescriptor import SPARE
from .stderr import LineMeter, StderrReader
from .tree import ProcessIdentity, identify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .account import Account
    from .channel import Channel, ChildEnds

__all__ = ["DUMP_FD", "ENDING_S", "PluginProcess", "ProcessSpec", "Start"]

ENDING_S = 2.0
"""So long may a process take to end once it has begun to."""

DUMP_FD = "\0dump"
"""An argument that is this becomes the number of a descriptor for stacks, -1 when there is none to give.

A program can be given no argument with a zero byte, so none of anybody's is this.
"""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to start: `argv[0]` is looked up in the PATH of `env` unless it holds a slash.

    `channel` is what becomes descriptors 0 and 1: one socket for both, or a pipe for each. `prefix` is a
    command that is started in its place and becomes it; `pass_fds` are what that inherits besides.

    `wrapper` is a sandbox's command line, which runs another that follows it, and is started by the prefix
    when there are both. A sandbox stays beside its program, as `sandboxed` says, and tells how the program
    inside it ended as a shell does. `account` None is the host's own user, `umask` None the host's own.
    `is_forkable` says that a fork of this interpreter with the SDK loaded will do.
    """

    argv: Sequence[str]
    cwd: str | None
    env: Mapping[str, str] = field(repr=False)  # may hold secrets
    channel: Literal["socketpair", "pipes"] = "socketpair"
    prefix: Sequence[str] = ()
    pass_fds: tuple[int, ...] = ()
    account: Account | None = None
    umask: int | None = None
    wrapper: Sequence[str] = ()
    sandboxed: bool = False
    is_forkable: bool = False


class Start(Protocol):
    """A process that is there already and can become the one of a spec."""

    @property
    def pid(self) -> int: ...

    def become(self, spec: ProcessSpec, ends: ChildEnds, dump: int | None) -> int:
        """The reading end of its stderr. Raises OSError and ValueError; then nothing was begun."""
        ...

    def reaper(self, on_exit: Callable[[ExitStatus], None]) -> Reaper:
        """Who watches it from now on."""
        ...

    def discard(self) -> None:
        """It is not needed; nothing is done when it became something."""
        ...


class PluginProcess:
    """A running or ended child that leads a session of its own.

    `started` and `ended` (None while it runs) are `time.monotonic()` values; `identity` tells the
    process from a later one of its number. Of one that is `sandboxed` they are the sandbox's own process,
    which ends when the program inside it does. `dump` is where it writes stacks, None unless it was told
    to.
    """

    __slots__ = (
        "_has_spare",
        "_loop",
        "_reaper",
        "channel",
        "dump",
        "ended",
        "identity",
        "pid",
        "sandboxed",
        "started",
        "stderr",
    )

    def __init__(
        self,
        pid: int,
        channel: Channel,
        stderr: StderrReader,
        *,
        memory_floor: int = 0,
        dump: DumpFile | None = None,
        sandboxed: bool = False,
        start: Start | None = None,
    ) -> None:
        """Take over a child of this process, its channel, its stderr and its dump; see `spawn`.

        `start` is there when it is a child of another process.
        """
        self.sandboxed = sandboxed
        self.pid = pid
        self.dump = dump
        self.started = time.monotonic()
        self.ended: float | None = None
        self.channel = channel
        self.stderr = stderr
        self._loop = asyncio.get_running_loop()
        self._has_spare = True
        SPARE.hold()
        # Nobody has reaped it, so even one that ended at once is still there to be identified.
        self.identity = identify(pid) or ProcessIdentity(pid, 0)
        self._reaper = (
            start.reaper(self._on_exit)
            if start is not None
            else Reaper(pid, self._on_exit, memory_floor=memory_floor, sandboxed=sandboxed)
        )

    @classmethod
    def spawn(
        cls,
        spec: ProcessSpec,
        *,
        on_stderr: Callable[[str], None],
        meter: LineMeter | None = None,
        start: Start | None = None,
    ) -> PluginProcess:
        """Start `spec` and watch it in the running loop; `on_stderr` gets each line of its stderr that the
        `meter` has room for. `start` becomes the plugin if it can; else nobody sees that there was one.

        Takes about a quarter of a millisecond. Raises SpawnError, which names the file at fault.
        """
        loop = asyncio.get_running_loop()
        floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT
        dump = _open_dump() if DUMP_FD in spec.argv else None
        argv = [str(dump.fd if dump else -1) if word == DUMP_FD else word for word in spec.argv]
        try:
            channel, ends = open_socketpair() if spec.channel == "socketpair" else open_pipes()
            try:
                stderr_fd = _become(start, spec, ends, dump)
                if start is None or stderr_fd is None:
                    start = None
                    pid, stderr_fd = _start(argv, spec, ends, () if dump is None else (dump.fd,))
                else:
                    pid = start.pid
            except BaseException:
                channel.close()
                raise
            finally:
                ends.close()
        except BaseException as error:
            if dump is not None:
                dump.close()
            if start is not None:
                start.discard()
            if isinstance(error, (OSError, ValueError)):
                command = _at_fault(error, spec, argv)
                raise diagnose(error, command, spec.cwd, spec.env, spec.account) from error
            raise
        stderr = StderrReader(stderr_fd, loop, on_stderr, meter)
        return cls(
            pid, channel, stderr, memory_floor=floor, dump=dump, sandboxed=spec.sandboxed, start=start
        )

    @property
    def status(self) -> ExitStatus | None:
        """How it ended; None while it runs."""
        return self._reaper.status

    @property
    def uptime(self) -> float:
        """Seconds from its start to its end, or to now."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def exited(self) -> asyncio.Future[ExitStatus]:
        """Done when the process is, and only then: pipes that others hold open do not matter.

        Several may wait for it, so wait with `wait` or `asyncio.wait`; a task that is cancelled while it
        awaits this future itself cancels it for the others.
        """
        return self._reaper.exited

    async def wait(self, timeout: float | None = None) -> ExitStatus | None:
        """Wait for the exit, `timeout` seconds at most; the status, or None if it still runs.

        How one that has ended did so may have to be asked for: that is waited for, however long it takes.
        """
        deadline = None if timeout is None else self._loop.time() + timeout
        while self.status is None:
            left = None if deadline is None or self._reaper.has_ended else deadline - self._loop.time()
            if left is not None and left <= 0:
                break
            await asyncio.wait((self.exited,), timeout=left)
        return self.status

    async def wait_for_end(self, timeout: float) -> ExitStatus | None:
        """The exit that the end of its wire is a part of; None when it runs on after `timeout` seconds.

        A process closes its descriptors before it has ended, and a busy machine may let it wait between
        the two: one that has begun to end gets ENDING_S more.
        """
        status = await self.wait(timeout)
        return await self.wait(ENDING_S) if status is None and is_ending(self.pid) else status

    @property
    def is_foreign(self) -> bool:
        """Whether it is a child of the process that this one was forked from."""
        return self._reaper.is_foreign

    def send_signal(self, number: int) -> bool:
        """Signal this process alone; False when it has ended or runs as somebody else."""
        return self._reaper.send_signal(number)

    def send_group_signal(self, number: int) -> bool:
        """Signal its process group in one step; see `Reaper.send_group_signal`."""
        return self._reaper.send_group_signal(number)

    def note_signalled(self, number: int) -> None:
        """The host signalled this process by other means: the exit status shall say it was us."""
        self._reaper.note_sent(number)

    def close_stdin(self) -> None:
        """Let the plugin read end of file. Anything still queued for it can no longer be sent."""
        self._forget(self.channel.write_fd, writer_only=True)
        self.channel.close_write()

    def close(self) -> None:
        """Give every descriptor back. A second call does nothing.

        A process that still runs is killed, since it has just lost its wire: stop it with the ladder
        first. It is reaped by the loop, which should run until `wait` returns.
        """
        if self.status is None:
            self.send_signal(SIGKILL)
        self._forget(self.channel.read_fd)
        self._forget(self.channel.write_fd)
        self.channel.close()
        self.stderr.close()
        if self.dump is not None:
            self.dump.close()
        self._reaper.close()
        if self._has_spare:
            self._has_spare = False
            SPARE.release()

    def _forget(self, fd: int, *, writer_only: bool = False) -> None:
        """Take a descriptor off the loop: a closed one left there would shadow the next of its number."""
        if fd < 0 or self._loop.is_closed():
            return
        self._loop.remove_writer(fd)
        if not writer_only:
            self._loop.remove_reader(fd)

    def _on_exit(self, status: ExitStatus) -> None:
        self.ended = time.monotonic()
        # So that whoever learns of the exit finds the last lines in the tail.
        self.stderr.drain()

    def __repr__(self) -> str:
        state = self.status.describe() if self.status else "running"
        return f"<PluginProcess {self.pid} {state}>"


def _open_dump() -> DumpFile | None:
    try:
        return DumpFile()
    except OSError:  # a plugin without one runs as well, and its hangs are told in fewer words
        return None


def _at_fault(error: Exception, spec: ProcessSpec, argv: Sequence[str]) -> Sequence[str]:
    """The command that a failed spawn is about: the prefix only when it cannot be started itself."""
    is_of_prefix = (
        isinstance(error, OSError)
        and error.errno != errno.E2BIG
        and spec.prefix
        and error.filename == spec.prefix[0]
    )
    return spec.prefix if is_of_prefix else [*spec.wrapper, *argv]


def _become(start: Start | None, spec: ProcessSpec, ends: ChildEnds, dump: DumpFile | None) -> int | None:
    """The reading end of its stderr; None when it did not, which says nothing about the spec."""
    try:
        return start.become(spec, ends, dump.fd if dump else None) if start is not None else None
    except (OSError, ValueError):
        assert start is not None
        start.discard()
        return None


def _start(
    argv: Sequence[str], spec: ProcessSpec, ends: ChildEnds, passed: Sequence[int]
) -> tuple[int, int]:
    """The pid and the reading end of its stderr. Raises OSError and ValueError."""
    account = spec.account
    stderr_fd, stderr_child = os.pipe()
    try:
        if account is not None:
            # Else it could use them, but not open them by the names /dev/stdin, /dev/stdout, /dev/stderr.
            for fd in (ends.stdin, ends.stdout, stderr_child):
                os.fchown(fd, account.uid, account.gid)
        child = subprocess.Popen(
            [*spec.prefix, *spec.wrapper, *argv],
            stdin=ends.stdin,
            stdout=ends.stdout,
            stderr=stderr_child,
            cwd=spec.cwd,
            env=dict(spec.env),
            start_new_session=True,
            pass_fds=(*spec.pass_fds, *passed),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=account.groups if account else None,
            umask=-1 if spec.umask is None else spec.umask,
        )
    except BaseException:
        os.close(stderr_fd)
        raise
    finally:
        os.close(stderr_child)
    # Popen has done its part: the reaper waits for the pid, and this keeps Popen from doing so too.
    child.returncode = 0
    return child.pid, stderr_fd
