"""The program of a forkserver: everything that plugins need is imported once, and forked for each.

    python -P -c "…" HOST_PID IMPORTS ROOM      with the socket to the host on descriptor 0

IMPORTS are names of modules with commas between them. It has one thread, runs nothing of any plugin, ends
with its host, and reaps a child only when the host asks how that ended, so that until then the child's
number is nobody else's.
"""

from __future__ import annotations

import gc
import os
import select
import sys

from plugin_host_sdk.forkorder import pack, unpack

from .immortality import make_immortal
from .interning import make_room
from .spare import Origin, become, receive, wait
from .startblock import Block, encoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    import signal as _signal
    from typing import Any
else:
    import _signal  # see spare
    import _socket

__all__ = ["Forkserver", "main"]

# All that a plugin loads before it is ready, and what most need soon after.
_RUNTIME = (
    "plugin_host_sdk.__main__",
    "plugin_host_sdk.runtime.channel",
    "plugin_host_sdk.runtime.greeting",
    "plugin_host_sdk.runtime.logbridge",
    "plugin_host_sdk.runtime.output",
    "plugin_host_sdk.runtime.server",
    "plugin_host_sdk.runtime.shim",
    "plugin_host_sdk.runtime.wiring",
    "plugin_host_sdk.metadata",
    "plugin_host_sdk.exec",
    "msgspec",
)
# The host decides when this process ends, not what a service manager sends to everybody.
_IGNORED = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGALRM", "SIGUSR1", "SIGUSR2")
_NAME = b"plugin-forks"
_PADDING = "PLUGIN_HOST_ROOM"
_CANNOT_BECOME = 71  # EX_OSERR
# The interpreter rewrites a function in its first runs, and remembers where it found attributes:
# after as many rehearsals no child writes that anew.
_ROUNDS = 12


def main() -> list[str]:
    """Serve the host until its end. Returns in children only, with what the plugin's start-up is told."""
    gc.disable()
    host, imports = int(sys.argv[1]), sys.argv[2].split(",")
    server = Forkserver(host)
    server.greet([name for name in imports if name])
    return server.serve()


class Forkserver:
    """One for each host, of which it is a child; ends the process when it is not."""

    def __init__(self, host: int) -> None:
        self.origin = Origin()
        self._control = _move_control()
        try:
            self._host = os.pidfd_open(host)
        except ProcessLookupError:
            os._exit(0)
        if os.getppid() != host:  # the host is gone, and its number may be another's
            os._exit(0)
        for name in _IGNORED:
            _signal.signal(getattr(_signal, name), _signal.SIG_IGN)
        # A host may ignore this one, and then nobody would learn how a child ended.
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        self._block, self._room = _take_block()
        self._hello = b""

    def greet(self, imports: list[str]) -> None:
        """Import everything, and say so."""
        problems = [problem for name in (*_RUNTIME, *imports) if (problem := _import(name))]
        self.origin.note_handlers()
        self._hello = _hello()
        # What was of use during the imports only leaves no room between what stays.
        gc.collect()
        for _ in range(_ROUNDS):
            _rehearse(self._hello, by_thread=False)
        gc.collect()
        make_room()
        make_immortal()
        gc.freeze()
        threads = len(os.listdir("/proc/self/task"))
        self._send(("hello", self._room, problems, threads))

    def serve(self) -> list[str]:
        """Do what the host says; returns in a child, with what that is to be told."""
        poll = select.poll()
        for fd in (self._control.fileno(), self._host):
            poll.register(fd, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            data, _ = receive(self._control) if self._control.fileno() in ready else (b"", None)
            if not data:
                os._exit(0)
            name, *rest = unpack(data)
            if name == "take":
                self._take(*rest)
            elif name == "fork" and (arguments := self._fork(*rest)) is not None:
                return arguments

    def _fork(self, is_awaited: bool) -> list[str] | None:
        """In the child, once there is an order: what it is to be told."""
        _flush()
        try:
            near, far = _socket_pair()
            pid = os.fork()
        except OSError as error:
            self._send(("stuck", str(error)))
            return None
        if pid == 0:
            near.close()
            return self._be_born(far, is_awaited)
        far.close()
        pidfd = os.pidfd_open(pid)
        self._send(("spare", pid), [pidfd, near.fileno()])
        os.close(pidfd)
        near.close()
        return None

    def _be_born(self, orders: _socket.socket, is_awaited: bool) -> list[str]:
        self._control.close()
        os.setsid()
        if not is_awaited:
            _rehearse(self._hello, by_thread=True)
        environ = dict(os.environ)
        order, fds = wait(orders, self._host)
        assert self._block is not None
        try:
            return become(order, fds, self.origin, self._block, environ)
        except (OSError, ValueError) as error:
            sys.stderr.write(f"this plugin cannot be started by a fork: {error}\n")
            sys.stderr.flush()
            os._exit(_CANNOT_BECOME)

    def _take(self, pid: int) -> None:
        try:
            _, status, usage = os.wait4(pid, 0)
        except ChildProcessError:
            self._send(("ended", pid, None, ()))
        else:
            self._send(("ended", pid, status, tuple(usage)))

    def _send(self, message: tuple[Any, ...], fds: list[int] | None = None) -> None:
        raw = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds or ())
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, raw)] if raw else []
        try:
            self._control.sendmsg([pack(*message)], ancillary)
        except OSError:  # nobody is there to be told
            os._exit(0)


def _move_control() -> _socket.socket:
    """Off descriptor 0, which is what code that is imported may read."""
    import fcntl

    control = _socket.socket(fileno=fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3))
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    return control


def _take_block() -> tuple[Block | None, int]:
    """Where a child's command line and environment will be shown, and the room there; 0 without any."""
    os.environ.pop(_PADDING, None)
    try:
        block = Block()
        block.write(sys.orig_argv[:-1], os.environ)
        with open("/proc/self/environ", "rb", buffering=0) as file:
            is_shown = file.read(block.room).rstrip(b"\0") + b"\0" == encoded(os.environ)
        with open("/proc/self/comm", "wb", buffering=0) as comm:
            comm.write(_NAME)
    except (OSError, ValueError):
        return None, 0
    return (block, block.room) if is_shown else (None, 0)


def _import(name: str) -> str | None:
    """What went wrong."""
    try:
        __import__(name)
    except BaseException as error:  # of somebody else's code, which may do anything
        return f"{name}: {type(error).__name__}: {error}"
    return None


def _hello() -> bytes:
    from . import rehearsal

    said = rehearsal.hello()
    del sys.modules[rehearsal.__name__]  # children import it, as they will their plugin
    return said


def _rehearse(said: bytes, *, by_thread: bool) -> None:
    """Whatever becomes of it, this process is as good as before."""
    near, far = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        from .rehearsal import rehearse

        rehearse(near, far, said, by_thread=by_thread)
    except (OSError, RuntimeError):  # no descriptor or thread is to be had
        pass
    sys.modules.pop(f"{__package__}.rehearsal", None)
    near.close()
    far.close()


def _socket_pair() -> tuple[_socket.socket, _socket.socket]:
    # What `_socket` makes are sockets of its own kind.
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)


def _flush() -> None:
    """What is buffered would be written by each child again."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
