"""Runs a coroutine that a signal may end.

The first SIGINT, SIGTERM or SIGHUP cancels it, which lets it stop its plugins politely; every further
one cancels it again, and a stop that is cancelled kills. SIGHUP is left alone when it was ignored from
the start, as nohup does.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from . import eventloop
from .failure import Interrupted

__all__ = ["run"]

_T = TypeVar("_T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Two cancellations in one turn of the loop would count as one.
_NEXT_TURN_S = 0.01


def run(body: Coroutine[Any, Any, _T]) -> _T:
    """Run `body` in a loop of its own. Raises Interrupted when a signal ended it."""
    caught: list[int] = []
    try:
        return eventloop.run(_listening(body, caught))
    except asyncio.CancelledError:
        if caught:
            raise Interrupted(caught[0]) from None
        raise


def _woken() -> None:
    """The loop is; what follows from the signal is not left to a byte in a pipe that may be full."""


async def _listening(body: Coroutine[Any, Any, _T], caught: list[int]) -> _T:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stop(signum: int) -> None:
        caught.append(signum)
        if len(caught) == 1:
            task.cancel()
        else:
            loop.call_later(_NEXT_TURN_S, task.cancel)

    for signum in _SIGNALS:
        if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
            loop.add_signal_handler(signum, _woken)
            signal.signal(signum, lambda number, _: loop.call_soon_threadsafe(stop, number))
    # A flood of signals fills the pipe that wakes the loop, which is awake then: nothing to complain of.
    signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)
    return await body
