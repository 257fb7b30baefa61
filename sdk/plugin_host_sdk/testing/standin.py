"""A process that does nothing, in the place of the program that a test plays.

It is real, so it can be signalled, watched and reaped as any other; how it ends is the test's word. It
never touches a terminal. Reaping it is the task of whoever it was started for.
"""

from __future__ import annotations

import os
import signal as signals
import threading
from typing import TYPE_CHECKING

from plugin_host_sdk.exec.process import spawn_pipes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["StandIn"]

# One line says how to end; without one, whoever started it is gone, which is what a hang-up says.
_SCRIPT = 'read -r how && eval "$how"; kill -s HUP $$'


class StandIn:
    """Process `pid`, the leader of a session of its own. `exited()` is called on a thread of its own."""

    def __init__(self, env: Mapping[str, str], exited: Callable[[], None]) -> None:
        process = spawn_pipes(["/bin/sh", "-c", _SCRIPT], cwd=None, env=env)
        self.pid = process.pid
        self._lock = threading.Lock()
        self._stdin = process.stdin_fd
        self._exited = exited
        os.close(process.stderr_fd)
        threading.Thread(
            target=self._watch, args=(process.stdout_fd,), name=f"stand-in {self.pid}", daemon=True
        ).start()

    def __repr__(self) -> str:
        return f"<StandIn pid={self.pid}>"

    def end(self, code: int = 0, signal: str | None = None) -> None:
        """End with an exit code of 0 to 255, or by a signal's name. Nothing if it is ending already."""
        if signal is None and not 0 <= code <= 255:
            raise ValueError(f"an exit code is 0 to 255, not {code}")
        how = f"exit {code}" if signal is None else f"kill -s {signals.Signals[signal].name[3:]} $$"
        self._say(f"{how}\n".encode())

    def release(self) -> None:
        """Let it end by a hang-up, unless it was told otherwise. Idempotent."""
        self._say(b"")

    def reap(self) -> None:
        """Wait for its end, after `release`, and take its status if nobody else has."""
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass

    def _say(self, line: bytes) -> None:
        with self._lock:
            fd, self._stdin = self._stdin, -1
            if fd < 0:
                return
            try:
                os.write(fd, line)
            except BrokenPipeError:
                pass  # it was killed
            finally:
                os.close(fd)

    def _watch(self, stdout: int) -> None:
        os.set_blocking(stdout, True)
        os.read(stdout, 1)  # it writes nothing, so this is its end
        os.close(stdout)
        self._exited()
