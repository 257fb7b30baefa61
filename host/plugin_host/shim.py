"""The host's end of the SDK's shim: the command that begins with it, its gate, and what it reports.

Owns the descriptors of both pipes. Invariant: the shim's own ends are closed here as soon as it has them,
so the report is at its end when the shim has become the program, or is gone.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from plugin_host_sdk import protocol

from .diagnosis import diagnose
from .errors import SpawnError

if TYPE_CHECKING:
    from .process import ProcessSpec

__all__ = ["Shim"]

# Not run by its path: so the interpreter keeps it compiled, which saves 2 ms of 17.
_CODE = "import sys; sys.path.append(sys.argv[1]); import shim; shim.main(sys.argv[2:])"
_FOLDER = os.path.join(os.path.dirname(protocol.__file__), "runtime")
_REPORT_BYTES = 4096


class Shim:
    """One use of the shim. `is_gated`: it waits until `open_gate`."""

    def __init__(self, *, is_gated: bool) -> None:
        """Raises OSError when there are no descriptors left."""
        if not sys.executable:
            raise OSError("this host does not know its own interpreter, which limits of programs need")
        self._report, self._reporting = os.pipe()
        self._waiting = self._gate = -1
        if is_gated:
            try:
                self._waiting, self._gate = os.pipe()
            except OSError:
                self.close()
                raise

    @property
    def pass_fds(self) -> tuple[int, ...]:
        """What the process has to inherit."""
        return tuple(fd for fd in (self._reporting, self._waiting) if fd >= 0)

    def command(self, options: list[str]) -> list[str]:
        """What stands before the program and its arguments; `options` are those of the shim."""
        own = ["--report", str(self._reporting)]
        if self._waiting >= 0:
            own += ["--gate", str(self._waiting)]
        return [sys.executable, "-I", "-S", "-c", _CODE, _FOLDER, *own, *options, "--"]

    def open_gate(self) -> None:
        """Let it go on."""
        self._close_its_ends()
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1

    async def exchanged(self, spec: ProcessSpec) -> None:
        """Wait until the shim has become the program of `spec`, or has ended.

        Raises SpawnError when it could not, in the words of a spawn without it.
        """
        self._close_its_ends()
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._report, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._report)
        # At its end nothing is read: the report is shorter than what a pipe passes on in one piece.
        number, _, text = os.read(self._report, _REPORT_BYTES).decode("utf-8", "replace").partition(" ")
        if text.strip():
            raise SpawnError(f"cannot start {spec.argv[0]!r}: {text.strip()}")
        if number:
            error = OSError(int(number), os.strerror(int(number)))
            raise diagnose(error, spec.argv, spec.cwd, spec.env)

    def close(self) -> None:
        """Give all descriptors back. A second call does nothing."""
        self._close_its_ends()
        for fd in (self._report, self._gate):
            if fd >= 0:
                os.close(fd)
        self._report = self._gate = -1

    def _close_its_ends(self) -> None:
        for fd in (self._reporting, self._waiting):
            if fd >= 0:
                os.close(fd)
        self._reporting = self._waiting = -1
