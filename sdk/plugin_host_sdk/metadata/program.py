"""A task's program on a terminal or a pipe: started, read to the last byte, reaped.

The thread that runs it reads it, and waits with it while the host takes no more, so nothing is stored on
the way. stdout and stderr are one stream in the order of their writes; input there is none. Invariant: the
process is reaped and every descriptor closed, whatever happens to who reads.
"""

from __future__ import annotations

import os
import select
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from plugin_host_sdk.exec.process import LOST, close_exit, reap, spawn_merged, watch_exit
from plugin_host_sdk.exec.program import discard
from plugin_host_sdk.exec.terminal import RealTerminalFactory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from plugin_host_sdk.exec.identity import Identity
    from plugin_host_sdk.exec.process import Status

__all__ = ["Program"]

_CHUNK = 64 * 1024
# How long the output that a process left is read: what it left behind may hold the descriptor for ever.
_LAST_OUTPUT_S = 0.5


class Program:
    """A process that was just started; `relay` has to be called. Raises TerminalError.

    `env` is its whole environment. `size` are rows and columns, None for a pipe.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: str | None,
        env: Mapping[str, str],
        size: tuple[int, int] | None,
        identity: Identity | None,
    ) -> None:
        self._slave = -1
        self._close: Callable[[], object]
        if size is None:
            self.pid, self._fd = spawn_merged(argv, cwd=cwd, env=env, identity=identity)
            self._close = partial(os.close, self._fd)
        else:
            terminal = RealTerminalFactory().spawn(
                argv, cwd=cwd, env=env, rows=size[0], cols=size[1], identity=identity
            )
            assert terminal.pid is not None
            self.pid, self._fd = terminal.pid, terminal.master_fd
            self._close = terminal.close
        try:
            if size is not None:
                # While nobody has it open the terminal reads as ended, and a program may come back to it.
                self._slave = terminal.open_slave()
            self._exit_fd = watch_exit(self.pid)
        except BaseException:
            discard(self.pid)
            self._release()
            self._close()
            raise

    def __repr__(self) -> str:
        return f"<Program pid={self.pid}>"

    def relay(
        self,
        started: Callable[[], object],
        put: Callable[[bytes], object],
        ended: Callable[[], object],
    ) -> Status:
        """Give its output to `put`, until it has ended and all is read; how it ended.

        `started` is called first, `ended` when it has ended and is not reaped yet. When one of them raises
        it is killed.
        """
        try:
            started()
            self._read_on(put, ended)
            status = reap(self.pid)
            return LOST if status is None else status
        except BaseException:
            discard(self.pid)
            raise
        finally:
            self._release()
            close_exit(self._exit_fd)
            self._close()

    def _read_on(self, put: Callable[[bytes], object], ended: Callable[[], object]) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._exit_fd, select.POLLIN)
        has_output = True
        until: float | None = None
        while until is None or has_output:
            left = None if until is None else max(0.0, until - monotonic()) * 1000
            ready = [fd for fd, _ in poll.poll(left)]
            if self._fd in ready:
                data = self._read()
                if data:
                    put(data)
                elif data is not None:
                    poll.unregister(self._fd)
                    has_output = False
            if self._exit_fd in ready:
                ended()
                poll.unregister(self._exit_fd)
                self._release()
                until = monotonic() + _LAST_OUTPUT_S
            elif until is not None and (not ready or monotonic() > until):
                return

    def _read(self) -> bytes | None:
        """What is there now, up to a chunk; nothing at the end, None when there was nothing after all."""
        gathered = bytearray()
        while len(gathered) < _CHUNK:
            try:
                data = os.read(self._fd, _CHUNK - len(gathered))
            except BlockingIOError:
                return bytes(gathered) or None
            except OSError:  # how the end of a terminal looks
                data = b""
            if not data:
                break
            gathered += data
        return bytes(gathered)

    def _release(self) -> None:
        slave, self._slave = self._slave, -1
        if slave >= 0:
            os.close(slave)
