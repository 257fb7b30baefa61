"""What a victim does to itself when it is told to: commands that hang, leak, flood, fork and corrupt.

Runs in plugins. Nothing here is endless for the machine: what a limit of the plugin should stop stops by
itself a little later, so that a machine without limits survives it.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import msgpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host_sdk import Context, Plugin

__all__ = ["register"]

_FOR_EVER_S = 3600
_CHILD_S = "300"
_FORKS_EACH = 3
_FORK_LIFE_S = 2.0
_LINE = b"one of very many lines, all of which somebody has to take\n"
_SIG_IGN = 1

_first, _second = threading.Lock(), threading.Lock()
_both = threading.Barrier(2)


def _find_wire() -> int:
    """The descriptor on which the SDK writes to the host, when nothing else has been opened yet."""
    for name in sorted(os.listdir("/proc/self/fd"), key=int, reverse=True):
        try:
            mode = os.fstat(int(name)).st_mode
            is_end = stat.S_ISSOCK(mode) or (stat.S_ISFIFO(mode) and _is_write_end(int(name)))
        except OSError:
            continue  # that of this very listing
        if int(name) > 2 and is_end:
            return int(name)
    raise RuntimeError("this process has no wire to a host")


def _is_write_end(fd: int) -> bool:
    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY


_wire = _find_wire()


# Hanging.


def sleep_in_c(ctx: Context) -> None:
    ctypes.PyDLL(None).sleep(_FOR_EVER_S)  # PyDLL: the interpreter's lock is kept


def deadlock_left(ctx: Context) -> None:
    with _first:
        _both.wait()
        with _second:
            pass


def deadlock_right(ctx: Context) -> None:
    with _second:
        _both.wait()
        with _first:
            pass


async def block_loop(ctx: Context) -> None:
    time.sleep(_FOR_EVER_S)  # noqa: ASYNC251 - that is what is wrong with it


def stay(ctx: Context) -> None:
    """Do not end at the host's request, at SIGTERM or when everything else has ended."""
    ctypes.CDLL(None).signal(int(signal.SIGTERM), _SIG_IGN)
    atexit.register(time.sleep, _FOR_EVER_S)


# Taking too much.


def leak(ctx: Context, megabytes: int, hold_s: float) -> int:
    kept = [bytearray(os.urandom(4096) * 256) for _ in range(megabytes)]
    time.sleep(hold_s)
    return len(kept)


def fork_bomb(ctx: Context, generations: int) -> int:
    """How many forks were refused, in all generations together."""
    return _multiply(generations, time.monotonic() + _FORK_LIFE_S)


def _multiply(generations: int, end: float) -> int:
    children, refused = [], 0
    for _ in range(_FORKS_EACH if generations else 0):
        try:
            pid = os.fork()
        except OSError:
            refused += 1
            continue
        if pid == 0:
            try:
                refused = _multiply(generations - 1, end)
                time.sleep(max(0.0, end - time.monotonic()))
            finally:
                os._exit(min(refused, 99))
        children.append(pid)
    return refused + sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children)


def flood_log(ctx: Context, seconds: float) -> int:
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        ctx.log.info("one of very many", count=count)
        count += 1
    return count


def flood_stderr(ctx: Context, seconds: float) -> int:
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        os.write(2, _LINE * 100)
        count += 100
    return count


def flood_progress(ctx: Context, seconds: float) -> int:
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        ctx.progress(count)
        count += 1
    return count


# Breaking the wire.


def close_descriptors(ctx: Context) -> None:
    os.closerange(3, 256)


def replace_wire(ctx: Context) -> None:
    """What is written to the host from now on goes nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, _wire)


def corrupt(ctx: Context, how: str) -> None:
    data = memoryview(_CORRUPTIONS[how]())
    while data:
        data = data[os.write(_wire, data) :]


def _packed(message: list[Any]) -> bytes:
    data: bytes = msgpack.packb(message)
    return data


_CORRUPTIONS: dict[str, Callable[[], bytes]] = {
    "garbage": lambda: os.urandom(4096),
    # What follows it is taken for the rest.
    "half": lambda: _packed([1, 12345, None, "x" * 8_000_000])[:100],
    "unasked": lambda: _packed([1, 4_000_000_000, None, "x"]),
    "oversized": lambda: _packed([1, 12345, None, bytes(20_000_000)]),
    "nested": lambda: b"\x91" * 100_000,
    "stream": lambda: _packed([2, "stream.data", [4_000_001, 0, b"x"]]),
}


# Leaving, and leaving something behind.


def leave(ctx: Context, status: int) -> None:
    os._exit(status)


def daemonise(ctx: Context) -> int:
    """Start a process that is no descendant of this one and holds nothing of it; its number."""
    script = f"setsid sleep {_CHILD_S} </dev/null >/dev/null 2>&1 & echo $!"
    return int(subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, check=True).stdout)


def hold_stderr(ctx: Context) -> int:
    """Start a process that has this one's stderr and stdout; its number."""
    return subprocess.Popen(["sleep", _CHILD_S], start_new_session=True).pid


def print_astray(ctx: Context) -> None:
    print("a print that should have been a log record")
    os.write(1, b"\x94\x01\x02 bytes that look like the wire's\n")
    subprocess.run(["sh", "-c", "echo a child says something; echo and complains >&2"], check=True)
    sys.stdout.flush()


def register(plugin: Plugin) -> None:
    """Offer all of it as commands."""
    for harm in (
        sleep_in_c,
        deadlock_left,
        deadlock_right,
        block_loop,
        stay,
        leak,
        fork_bomb,
        flood_log,
        flood_stderr,
        flood_progress,
        close_descriptors,
        replace_wire,
        corrupt,
        leave,
        daemonise,
        hold_stderr,
        print_astray,
    ):
        plugin.command(harm.__name__)(harm)
