"""How a process ended, as data and in words.

Pure. Invariant: exactly one of `code` and `signal` is set, or neither when the status was lost (somebody
else reaped the process).
"""

from __future__ import annotations

import os
import signal as signals
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container
    from resource import struct_rusage

__all__ = ["MAXRSS_UNIT", "ExitStatus", "signal_name"]

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes

_SIGNALLED = 128  # what shells, and so sandboxes, add to the number of a signal

_WORDS = {
    "SIGHUP": "hang-up",
    "SIGINT": "interrupt",
    "SIGQUIT": "quit",
    "SIGILL": "illegal instruction",
    "SIGTRAP": "trace trap",
    "SIGABRT": "aborted",
    "SIGBUS": "bus error",
    "SIGFPE": "arithmetic error",
    "SIGKILL": "killed",
    "SIGSEGV": "segmentation fault",
    "SIGPIPE": "broken pipe",
    "SIGALRM": "alarm clock",
    "SIGTERM": "terminated",
    "SIGXCPU": "processor time limit exceeded",
    "SIGXFSZ": "file size limit exceeded",
    "SIGSYS": "forbidden system call",
}


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """One ended process.

    `peak_memory` is its largest resident size in bytes, None when unknown; `cpu_s` the processor seconds
    it and the children it waited for used; `by_us` whether the signal that ended it was the host's;
    `why_lost` why neither code nor signal is known.
    """

    code: int | None
    signal: int | None
    peak_memory: int | None = None
    cpu_s: float | None = None
    core_dumped: bool = False
    by_us: bool = False
    why_lost: str = ""

    @classmethod
    def from_wait4(
        cls,
        status: int,
        usage: struct_rusage | None = None,
        *,
        sent: Container[int] = (),
        memory_floor: int = 0,
    ) -> ExitStatus:
        """From what `os.wait4` returned; `sent` are the signals the host sent to the process.

        The kernel counts the memory of the process that called exec into the new program's peak, so a
        peak no larger than `memory_floor` (bytes, the host's own peak at the spawn) says nothing about
        the plugin and is left out.
        """
        signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        peak = usage.ru_maxrss * MAXRSS_UNIT if usage else 0
        return cls(
            code=os.WEXITSTATUS(status) if signal is None else None,
            signal=signal,
            peak_memory=peak if peak > memory_floor else None,
            cpu_s=usage.ru_utime + usage.ru_stime if usage else None,
            core_dumped=os.WCOREDUMP(status),
            by_us=signal is not None and signal in sent,
        )

    @classmethod
    def from_sandbox(cls, status: int, *, sent: Container[int] = ()) -> ExitStatus:
        """From what `os.wait4` returned for the process of a sandbox, about the program inside it.

        A sandbox exits with 128 + n when signal n ended the program. One that exits with such a number by
        itself cannot be told apart, and few do. The sandbox's own memory and processor time say nothing
        about the program, so they are left out.
        """
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else _SIGNALLED + os.WTERMSIG(status)
        signal = code - _SIGNALLED
        if signal not in signals.valid_signals():
            return cls(code=code, signal=None)
        return cls(code=None, signal=signal, by_us=signal in sent)

    @classmethod
    def lost(cls, why: str = "something else in the host process reaped it") -> ExitStatus:
        """The process is gone and nobody told us how."""
        return cls(code=None, signal=None, why_lost=why)

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.code == 0

    def describe(self) -> str:
        """In words: "exited with status 3", "killed by SIGSEGV (segmentation fault)"."""
        if self.code is not None:
            return f"exited with status {self.code}"
        if self.signal is None:
            return f"ended, with its exit status lost ({self.why_lost})"
        return f"killed by {self._signal_in_words()}"

    def _signal_in_words(self) -> str:
        assert self.signal is not None
        name = signal_name(self.signal)
        if name == "SIGKILL":
            return name if self.by_us else f"{name}, not by us (out of memory, or somebody's kill)"
        details = [_WORDS[name]] if name in _WORDS else []
        if name == "SIGTERM" and not self.by_us:
            details.append("not by us")
        if self.core_dumped:
            details.append("core dumped")
        return f"{name} ({', '.join(details)})" if details else name


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; real-time and unknown signals by number."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"
