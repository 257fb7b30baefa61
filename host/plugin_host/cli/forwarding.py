"""Signals of this process, passed on to the program that a session runs.

Owns them from before there is a session until after it: first and last they end this command as
everywhere else. In between SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are forwarded by name;
while the keys go to a terminal of the session, the first four close the session instead, for then they
come from somebody who wants this command to go away. A command that forwards nothing is ended by each of
the six. Invariant: nobody is ever stuck, see `Patience`. Signals that were ignored from the start stay
ignored.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from plugin_host.errors import PluginDied, PluginHostError
from plugin_host_sdk.errors import SessionClosed, SessionNotFound

from . import eventloop
from .failure import Interrupted

__all__ = ["Forwarder", "Patience", "run"]

_T = TypeVar("_T")
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_TELLING = (signal.SIGUSR1, signal.SIGUSR2)
_ASKING = (signal.SIGINT, signal.SIGTERM)

# Two cancellations in one turn of the loop would count as one.
_NEXT_TURN_S = 0.01


class _Target(Protocol):
    """What signals are sent to."""

    async def signal(self, signal: str) -> None: ...


class Patience:
    """Says when a program has been asked to end often enough.

    That is the third time in a row that it did not react: it has written nothing since the time before,
    or was asked again within `HASTE_S` (a program that always writes reacts to nothing). The first and
    the last time are at least `LEAST_S` apart, in which a polite program has ended.
    """

    TIMES = 3
    HASTE_S = 2.0
    LEAST_S = 1.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times = 0
        self._first_at = 0.0
        self._last_at = 0.0
        self._has_reacted = True

    def reacted(self) -> None:
        """The program has written something."""
        self._has_reacted = True

    def asked(self) -> bool:
        """It is asked to end now; True when that was often enough."""
        now = self._clock()
        if self._times == 0 or (self._has_reacted and now - self._last_at > self.HASTE_S):
            self._times, self._first_at = 0, now
        self._times += 1
        self._last_at = now
        self._has_reacted = False
        return self._times >= self.TIMES and now - self._first_at >= self.LEAST_S


class Forwarder:
    """Made in the task that signals may end. `ended_by` is the signal that did, or asked to.

    One that `only_ends` forwards nothing.
    """

    def __init__(self, *, only_ends: bool = False) -> None:
        self._ending = (*_ENDING, *_TELLING) if only_ends else _ENDING
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._target: _Target | None = None
        self._has_keys = False
        self._patience = Patience()
        self._sending: set[asyncio.Task[None]] = set()
        self.ended_by: int | None = None

    def listen(self) -> None:
        """Take the signals over, from now until the loop ends."""
        for signum in (*_ENDING, *_TELLING):
            if signal.getsignal(signum) is not signal.SIG_IGN:
                self._loop.add_signal_handler(signum, self._caught, signum)

    def forward_to(self, target: _Target | None, *, has_keys: bool = False) -> None:
        """From now on pass signals on to `target`; None is to nobody. `has_keys`: keys arrive as bytes."""
        self._target = target
        self._has_keys = has_keys

    def reacted(self) -> None:
        """The program has written something."""
        self._patience.reacted()

    def _caught(self, signum: signal.Signals) -> None:
        if self.ended_by is None and self._target is not None and not self._is_for_us(signum):
            sending = asyncio.ensure_future(self._send(self._target, signum))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)
            if signum in _ASKING and self._patience.asked():
                self._end(signum)
        elif signum in self._ending:
            self._end(signum)

    def _is_for_us(self, signum: signal.Signals) -> bool:
        return self._has_keys and signum in _ENDING

    async def _send(self, target: _Target, signum: signal.Signals) -> None:
        try:
            await target.signal(signum.name)
        except (SessionClosed, SessionNotFound, PluginDied):
            # It has ended. Its last output may be stuck, so the next signal is for this command.
            if self._target is target:
                self._target = None
        except PluginHostError:
            # A session that takes no signals.
            if signum in _ENDING and self._target is target:
                self._end(signum)

    def _end(self, signum: int) -> None:
        if self.ended_by is None:
            self.ended_by = signum
            self._task.cancel()
        else:
            self._loop.call_later(_NEXT_TURN_S, self._task.cancel)


def run(body: Callable[[Forwarder], Coroutine[Any, Any, _T]], *, only_ends: bool = False) -> _T:
    """Run `body` in a loop of its own, see `Forwarder`. Raises Interrupted when a signal ended it."""
    forwarders: list[Forwarder] = []

    async def listening() -> _T:
        forwarder = Forwarder(only_ends=only_ends)
        forwarders.append(forwarder)
        forwarder.listen()
        return await body(forwarder)

    try:
        return eventloop.run(listening())
    except asyncio.CancelledError:
        if forwarders and forwarders[0].ended_by is not None:
            raise Interrupted(forwarders[0].ended_by) from None
        raise
