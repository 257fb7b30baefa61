"""A forked child that waits to become a plugin, and becomes it.

Owns the step from a copy of the forkserver to a process like one that a host has started: signals,
descriptors, folder, environment, command line. It leads a session of its own from its birth on, which the
kernel takes a quarter of a millisecond for. Invariant: the forkserver's descriptors are closed before
the wait begins, and of the host's none is left but those of the order once `become` returns.
"""

from __future__ import annotations

import os
import select
import sys

from plugin_host_sdk.forkorder import MOST_BYTES, MOST_FDS, STACKS, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    import signal as _signal
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .startblock import Block
else:
    import _signal  # `socket` and `signal` take longer to load than all the rest
    import _socket

__all__ = ["Origin", "become", "receive", "wait"]

_FD_BYTES = 4


class Origin:
    """What this process had when its program began, and a plugin is to have again."""

    def __init__(self) -> None:
        self.path = list(sys.path)
        self.handlers = _handlers()
        self.others: dict[int, Any] = {}
        # In the C locale the interpreter sets this one for itself.
        self.coerced = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}
        with open("/proc/self/comm", "rb", buffering=0) as file:
            self.name = file.read().rstrip(b"\n")

    def note_handlers(self) -> None:
        """Everything that changes them has happened: remember which are others now."""
        now = _handlers()
        self.others = {number: old for number, old in self.handlers.items() if now.get(number) is not old}


def _handlers() -> dict[int, Any]:
    numbers = range(1, _signal.NSIG)
    return {number: handler for number in numbers if (handler := _signal.getsignal(number)) is not None}


def wait(orders: _socket.socket, host: int) -> tuple[Any, list[int]]:
    """The order, when it comes, with its descriptors; ends the process when the host is gone or needs it
    no more. `host` is a pidfd: the socket alone may be held open by a child of the host's program.

    It wakes when nothing more will be sent, and not for what is. Who is woken by a message is put on the
    sender's processor, as if that had nothing else to do, and waits there until it has.
    """
    poll = select.poll()
    poll.register(orders.fileno(), select.POLLRDHUP)
    poll.register(host, select.POLLIN)
    ready = dict(poll.poll())
    data, fds = receive(orders) if orders.fileno() in ready else (b"", [])
    if not data:
        os._exit(0)
    orders.close()
    os.close(host)
    return unpack(data), fds


def receive(sock: _socket.socket) -> tuple[bytes, list[int]]:
    """One packet and its descriptors; no bytes when the other end is closed."""
    try:
        data, ancillary, _, _ = sock.recvmsg(
            MOST_BYTES, _socket.CMSG_SPACE(MOST_FDS * _FD_BYTES), _socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionError:
        return b"", []
    fds = []
    for level, kind, raw in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            fds += [
                int.from_bytes(raw[place : place + _FD_BYTES], sys.byteorder)
                for place in range(0, len(raw), _FD_BYTES)
            ]
    return data, fds


def become(
    order: Sequence[Any], fds: Sequence[int], origin: Origin, block: Block, known: Mapping[str, str]
) -> list[str]:
    """Be what `order` says; what the plugin's own start-up is then told. `known` is the environment up to
    now. Raises OSError, ValueError."""
    _, argv, environ, umask = order
    channel, stderr, folder, *stacks = fds
    for fd, number in ((channel, 0), (channel, 1), (stderr, 2)):
        os.dup2(fd, number)
    os.fchdir(folder)
    for fd in (channel, stderr, folder):
        os.close(fd)
    for number, handler in origin.others.items():
        _signal.signal(number, handler)
    if umask is not None:
        os.umask(umask)
    words = [str(stacks[0] if stacks else -1) if word == STACKS else word for word in argv]
    block.write(words, environ)
    _set_environment({**origin.coerced, **environ}, known)
    _call_oneself(origin.name)
    _start_over(origin, words)
    # Behind the interpreter: its own options, of which `-c CODE` is the last.
    return words[words.index("-c") + 2 :]


def _set_environment(environ: Mapping[str, str], known: Mapping[str, str]) -> None:
    for name in known.keys() - environ.keys():
        del os.environ[name]
    # Setting costs memory of the child's own, and most are the forkserver's.
    for name, value in environ.items():
        if known.get(name) != value:
            os.environ[name] = value
    if environ.get("TZ") != known.get("TZ"):
        import time

        time.tzset()


def _call_oneself(name: bytes) -> None:
    with open("/proc/self/comm", "wb", buffering=0) as comm:
        comm.write(name)


def _start_over(origin: Origin, words: list[str]) -> None:
    """What the interpreter set when it began, and what must not be the same in two plugins."""
    sys.path[:] = origin.path
    sys.orig_argv[:] = words
    sys.argv[:] = words[words.index("-c") :]
    del sys.argv[1]  # as the interpreter does with the code
    # `random` sees to itself, numpy does not.
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
