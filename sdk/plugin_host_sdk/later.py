"""A result that is still to come, for work that must wait for something without holding a thread.

Whoever does the work settles it once, from any thread; whoever wants it hears of it by `then`, by waiting
on a thread, or by `await`. Invariant: every listener is called exactly once, outside the lock.
"""

from __future__ import annotations

import threading

from .errors import CallError, CallTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    Listener = Callable[[Any, CallError | None], object]

__all__ = ["Later"]


class Later:
    """Settled by `resolve` or `fail`; the first counts."""

    __slots__ = ("_error", "_is_settled", "_listeners", "_lock", "_result")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_settled = False
        self._result: Any = None
        self._error: CallError | None = None
        self._listeners: list[Listener] = []

    def __repr__(self) -> str:
        return f"<Later {'settled' if self._is_settled else 'open'}>"

    @property
    def is_settled(self) -> bool:
        """Whether the result, or the error, is there."""
        return self._is_settled

    def resolve(self, result: Any = None) -> None:
        """The work has this result."""
        self._settle(result, None)

    def fail(self, error: CallError) -> None:
        """The work failed."""
        self._settle(None, error)

    def then(self, listener: Listener) -> None:
        """Call `listener(result, error)` once it is settled, on the thread that settles it.

        It must not wait.
        """
        with self._lock:
            if not self._is_settled:
                self._listeners.append(listener)
                return
        listener(self._result, self._error)

    def wait(self, timeout: float | None = None) -> Any:
        """The result, waited for on this thread. Raises its error, or CallTimeout after `timeout` s."""
        done = threading.Event()
        self.then(lambda result, error: done.set())
        if not done.wait(timeout):
            raise CallTimeout(f"no result within {timeout:g} s", name="rpc.deadline_exceeded")
        if self._error is not None:
            raise self._error
        return self._result

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def fill(result: Any, error: CallError | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def tell(result: Any, error: CallError | None) -> None:
            try:
                loop.call_soon_threadsafe(fill, result, error)
            except RuntimeError:
                pass  # the loop is closed, so nobody waits any more

        self.then(tell)
        return future.__await__()

    def _settle(self, result: Any, error: CallError | None) -> None:
        with self._lock:
            if self._is_settled:
                return
            self._result, self._error = result, error
            self._is_settled = True
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener(result, error)
