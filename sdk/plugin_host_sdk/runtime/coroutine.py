"""The event loop of `async def` handlers: one thread, started with the first call of one."""

from __future__ import annotations

import sys
import threading
from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable, Coroutine
    from typing import Any

__all__ = ["LoopThread"]


class LoopThread:
    """Runs coroutines for other threads. `on_failure` is called, with what was raised at hand, when the
    loop cannot run on: what it had to do is lost then."""

    def __init__(self, on_failure: Callable[[], object] | None = None) -> None:
        self._on_failure = on_failure or _show
        self._lock = threading.Lock()
        self._loop: AbstractEventLoop | None = None
        self._tasks: set[Task[None]] = set()
        self._marked: float | None = None  # since when the loop has not come round to the mark
        self._is_closed = False

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The loop; None before the first call of a coroutine function."""
        return self._loop

    def run(self, make: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Start `make()` as a task on the loop; returns what cancels it, from any thread.

        A task that is cancelled before its first step never runs. Raises RuntimeError and OSError when the
        loop cannot be started, because the system gives no thread or no descriptor, or has ended.
        """
        loop = self._loop or self._start()
        task: Task[None] | None = None
        cancelled = False

        def start() -> None:
            nonlocal task
            if cancelled:
                return
            task = loop.create_task(make())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        def cancel() -> None:
            nonlocal cancelled
            cancelled = True
            loop.call_soon_threadsafe(lambda: task.cancel() if task is not None else None)

        loop.call_soon_threadsafe(start)
        return cancel

    def lag(self) -> float | None:
        """Seconds for which the loop has not come round to what an earlier look left; None without a loop.

        Every look leaves something, unless the last is still there: so a loop that is blocked is seen to be
        at the second look, and one that nobody looks at is never woken.
        """
        loop, marked = self._loop, self._marked
        if loop is None:
            return None
        if marked is not None:
            return perf_counter() - marked
        self._marked = perf_counter()
        try:
            loop.call_soon_threadsafe(self._come_round)
        except RuntimeError:  # the plugin is ending, and the loop has
            return None
        return 0.0

    def _come_round(self) -> None:
        self._marked = None

    def _start(self) -> AbstractEventLoop:
        import asyncio

        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                try:
                    threading.Thread(target=self._live, args=(loop,), name="asyncio", daemon=True).start()
                except RuntimeError:
                    loop.close()
                    raise
                self._loop = loop
            return self._loop

    def close(self) -> None:
        """Let the thread end; coroutines that still run are not waited for."""
        with self._lock:
            self._is_closed = True
            if self._loop is not None:
                try:
                    self._loop.call_soon_threadsafe(self._loop.stop)
                except RuntimeError:  # a handler has stopped it at this moment, and it has ended
                    pass
                self._loop = None

    def _live(self, loop: AbstractEventLoop) -> None:
        """Run the loop until it is closed here: it is that of all handlers, and none may end it."""
        import asyncio

        asyncio.set_event_loop(loop)
        while not self._is_closed and not loop.is_closed():
            try:
                loop.run_forever()
            except Exception:  # of the loop itself, such as that somebody closed its descriptors
                self._on_failure()
                return
            except BaseException:  # such as sys.exit() in a task that a handler has left behind
                _show()
            else:
                self._tell_of_stop()
        loop.close()

    def _tell_of_stop(self) -> None:
        if not self._is_closed:
            text = "an async handler has stopped the event loop, which all of them share: it goes on"
            print(text, file=sys.stderr)


def _show() -> None:
    """What was raised."""
    import traceback

    traceback.print_exc()
