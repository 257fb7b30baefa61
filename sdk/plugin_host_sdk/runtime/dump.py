"""What the process writes of its stacks when no Python of it can run any more.

Owns faulthandler, which needs neither the interpreter's lock nor memory: a crash in C is told on standard
error with the line of Python it happened in, and on a signal every thread's stack goes to a descriptor that
the host has given. Invariants: no child has the descriptor; what an author has set up is left alone.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # of C, and loaded by the interpreter itself
import faulthandler
import os

__all__ = ["DUMP_SIGNAL", "dump_crashes", "dump_on_signal"]

# There are real-time signals on Linux only. `signal` itself takes milliseconds to import.
DUMP_SIGNAL: int | None = _signal.SIGRTMIN + 1 if hasattr(_signal, "SIGRTMIN") else None


def dump_crashes() -> None:
    """Say on standard error where a fatal signal struck; that of the crashed thread alone."""
    if not faulthandler.is_enabled():
        try:
            faulthandler.enable(file=2, all_threads=False)
        except (OSError, RuntimeError):  # standard error is closed; no memory for a stack of its own
            pass


def dump_on_signal(fd: int) -> None:
    """Write the stacks of all threads to `fd` at each signal; from here on no child inherits it.

    A number that is no open descriptor does nothing: the host had none to give.
    """
    if DUMP_SIGNAL is None:
        return
    try:
        os.set_inheritable(fd, False)
    except (OSError, ValueError):
        return
    faulthandler.register(DUMP_SIGNAL, file=fd, all_threads=True, chain=False)
    os.register_at_fork(after_in_child=lambda: _forget(fd))


def _forget(fd: int) -> None:
    """A child that was only forked would write to what is its parent's."""
    assert DUMP_SIGNAL is not None
    faulthandler.unregister(DUMP_SIGNAL)
    try:
        os.close(fd)
    except OSError:
        pass
