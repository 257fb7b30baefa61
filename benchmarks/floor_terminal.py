"""Floor of sessions on terminals: the other end of the terminal is in this very process."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from typing import TYPE_CHECKING

from . import keystroke
from .flow import Meter, both, child
from .sample import latency

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BareTerminal", "driver"]

_READ_BYTES = 64 * 1024


class BareTerminal:
    """Each measurement opens its terminals anew."""

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        return {"terminal": self._output, "keystroke": self._keystroke}[verb](seconds)

    def close(self) -> None:
        pass

    def _output(self, seconds: float) -> dict[str, float]:
        raw, cooked = self._rate("raw", seconds), self._rate("cooked", seconds)
        return both(raw, cooked) | both(raw, cooked, "direct_")

    def _rate(self, mode: str, seconds: float) -> float:
        master, process = _spawn(child(mode))
        meter = Meter(seconds, is_terminal=True)
        while meter.add(len(os.read(master, _READ_BYTES))):
            pass
        _end(master, process)
        return meter.mb_per_s

    def _keystroke(self, seconds: float) -> dict[str, float]:
        master, process = _spawn(keystroke.ECHO)
        seen = b""
        while not seen.endswith(keystroke.READY):
            seen += os.read(master, _READ_BYTES)
        clock, times = time.perf_counter, []
        for _ in range(keystroke.presses(seconds)):
            time.sleep(keystroke.pause())
            before = clock()
            os.write(master, keystroke.KEY)
            os.read(master, 1)
            times.append(clock() - before)
        _end(master, process)
        return latency(times)


def _spawn(command: Sequence[str]) -> tuple[int, subprocess.Popen[bytes]]:
    """The master of a new terminal, and what runs on it."""
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    return master, process


def _end(master: int, process: subprocess.Popen[bytes]) -> None:
    process.kill()
    os.close(master)
    process.wait()


def driver() -> BareTerminal:
    return BareTerminal()
