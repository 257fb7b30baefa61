"""The host's hold on a child that was forked ahead and waits to be told what to be.

Owns the pidfd and the socket for its order. Invariant: it is given one order or none; without one it is
killed, and its parent sees to it.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from plugin_host.process import DUMP_FD
from plugin_host_sdk.forkorder import STACKS, pack

from .childreaper import ChildReaper

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from plugin_host.channel import ChildEnds
    from plugin_host.exitstatus import ExitStatus
    from plugin_host.process import ProcessSpec

    from .childreaper import Parent

__all__ = ["Spare"]


class Spare:
    """Child `pid` of the forkserver `parent`; takes over `pidfd` and `orders`."""

    def __init__(self, pid: int, pidfd: int, orders: socket.socket, parent: Parent) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._orders = orders
        self._parent = parent

    def become(self, spec: ProcessSpec, ends: ChildEnds, dump: int | None) -> int:
        """Have it become `spec`, with these ends of the channel and a descriptor for stacks.

        The reading end of its stderr. Raises OSError and ValueError: then nothing was begun, and the spare
        is to be discarded.
        """
        argv = [STACKS if word == DUMP_FD else word for word in spec.argv]
        with ExitStack() as opened:
            folder = os.open(spec.cwd or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, folder)
            if not os.access(".", os.X_OK, dir_fd=folder):
                raise PermissionError(f"{spec.cwd} may not be entered")
            message = pack("become", argv, dict(spec.env), spec.umask)
            stderr, stderr_child = os.pipe()
            opened.callback(os.close, stderr_child)
            try:
                self._send(message, [ends.stdin, stderr_child, folder, *([] if dump is None else [dump])])
            except BaseException:
                os.close(stderr)
                raise
        self._orders.close()
        return stderr

    def _send(self, message: bytes, fds: Sequence[int]) -> None:
        import array
        import socket

        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        self._orders.sendmsg([message], ancillary, socket.MSG_DONTWAIT)
        self._orders.shutdown(socket.SHUT_WR)  # this is what wakes it

    def reaper(self, on_exit: Callable[[ExitStatus], None]) -> ChildReaper:
        """Watches it from now on; takes over what is left of this object."""
        pidfd, self._pidfd = self._pidfd, -1
        return ChildReaper(self.pid, pidfd, self._parent, on_exit)

    def discard(self) -> None:
        """It is not needed. A second call does nothing, nor one after it became a plugin."""
        self._orders.close()
        if self._pidfd < 0:
            return
        self._parent.bury(self.reaper(_ignore))


def _ignore(status: ExitStatus) -> None:
    """How a child ended that was nothing yet."""
