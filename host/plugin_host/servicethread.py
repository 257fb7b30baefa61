"""Threads for plain functions that plugins call: one for each that runs, kept a while for the next.

Owns its threads, not how many may run at once. They are daemons, so a function that never returns does
not keep the host's process from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from plugin_host_sdk.excerpt import said

__all__ = ["ServiceThreads"]

# How long a thread waits for more work: long enough for a plugin that asks again and again.
_IDLE_S = 10.0

_Job: TypeAlias = "tuple[Callable[[], Any], asyncio.Future[Any], asyncio.AbstractEventLoop]"


class ServiceThreads:
    """Runs functions beside the loop. No thread is started before the first one."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._idle = 0
        self._is_closed = False

    def run(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Start `function` at once on a thread; what it returns or raises. Called on the loop.

        Cancelling the future does not stop the function; nobody hears what it returns then. Raises
        RuntimeError when no thread is to be had: then it is never run.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        with self._wake:
            self._jobs.append((function, future, loop))
            if self._idle >= len(self._jobs):
                self._wake.notify()
            else:
                self._start_thread()
        return future

    def _start_thread(self) -> None:
        """One more, for the last job that was given."""
        try:
            threading.Thread(target=self._live, name="plugin-host-service", daemon=True).start()
        except BaseException:
            self._jobs.pop()
            raise

    def close(self) -> None:
        """Let the threads end: the idle ones now, the others when their function returns."""
        with self._wake:
            self._is_closed = True
            self._wake.notify_all()

    def _live(self) -> None:
        while (job := self._next()) is not None:
            _perform(*job)

    def _next(self) -> _Job | None:
        with self._wake:
            self._idle += 1
            try:
                # A closed set still runs what was given to it before.
                self._wake.wait_for(lambda: self._jobs or self._is_closed, _IDLE_S)
            finally:
                self._idle -= 1
            return self._jobs.popleft() if self._jobs else None


def _perform(
    function: Callable[[], Any], future: asyncio.Future[Any], loop: asyncio.AbstractEventLoop
) -> None:
    result: Any = None
    error: Exception | None = None
    try:
        result = function()
    except Exception as problem:
        error = problem
    except BaseException as problem:  # ends a thread, and must not end the host's loop
        error = RuntimeError(f"{type(problem).__name__}: {said(problem)}")
    try:
        loop.call_soon_threadsafe(_settle, future, result, error)
    except RuntimeError:
        pass  # the loop is closed, so nobody waits


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):  # which a future cannot hold
        future.set_exception(RuntimeError("it raised StopIteration"))
    else:
        future.set_exception(error)
