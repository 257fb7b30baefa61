"""Signals that end this process because nobody handles them: what has to be put right is, before they do.

Invariant: the process still ends by the very signal, and by the second of a kind at once, whatever hangs.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

__all__ = ["before_death"]

_HARMLESS = {
    signal.SIGCHLD,
    signal.SIGCONT,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGURG,
    signal.SIGWINCH,
}
_BEYOND_REACH = {signal.SIGKILL, signal.SIGSTOP}
# A fault happens again when its handler, which only makes a note of it, returns.
_FAULTS = {signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}


@contextmanager
def before_death(loop: asyncio.AbstractEventLoop, undo: Callable[[], None]) -> Iterator[None]:
    """In which `undo` is called, on the loop, before such a signal ends this process.

    Signals that are handled or ignored already are left to whoever did that.
    """
    spared = _HARMLESS | _BEYOND_REACH | _FAULTS
    numbers = [
        number for number in signal.valid_signals() - spared if signal.getsignal(number) is signal.SIG_DFL
    ]

    def end(number: int) -> None:
        try:
            undo()
        finally:
            os.kill(os.getpid(), number)

    def caught(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        loop.call_soon_threadsafe(end, number)

    for number in numbers:
        signal.signal(number, caught)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
