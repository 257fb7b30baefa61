"""The future of a call's result, whose waiting task goes on at once.

A future of asyncio's has its task wait for one more turn of the loop, which costs as much as the rest of
that way. This one is what `asyncio.isfuture` calls future-like, and runs the task where the answer was
read. Invariant: a task is run from a callback of the loop in which no other task is, with nothing to come
after it; whoever cannot know that uses `set_result`, which is what asyncio's does.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Callback = Callable[["CallFuture"], object]

__all__ = ["CallFuture"]


class CallFuture:
    """To be awaited by one task of `loop`, on the thread of that."""

    # What most calls leave as it is, is not set for each.
    _asyncio_future_blocking = False
    _is_done = False
    _is_cancelled = False
    _message: object = None
    _result: Any = None
    _error: BaseException | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callbacks: list[tuple[Callback, Context]] = []

    def __await__(self) -> Generator[CallFuture, None, Any]:
        if not self._is_done:
            self._asyncio_future_blocking = True
            yield self
        return self.result()

    # As a future, for those who wait.

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def done(self) -> bool:
        return self._is_done

    def cancelled(self) -> bool:
        return self._is_cancelled

    def result(self) -> Any:
        """Raises what it ended with, CancelledError, and InvalidStateError when it has not ended."""
        if self._is_cancelled:
            raise asyncio.CancelledError(*([] if self._message is None else [self._message]))
        if self._error is not None:
            raise self._error
        if not self._is_done:
            raise asyncio.InvalidStateError("the call has not ended")
        return self._result

    def exception(self) -> BaseException | None:
        """As `result`, with what the call failed with as the value."""
        if self._error is None:
            self.result()
        return self._error

    def add_done_callback(self, callback: Callback, *, context: Context | None = None) -> None:
        if context is None:  # an empty one is false
            context = copy_context()
        if self._is_done:
            self._loop.call_soon(callback, self, context=context)
        else:
            self._callbacks.append((callback, context))

    def remove_done_callback(self, callback: Callback) -> int:
        kept = [one for one in self._callbacks if one[0] != callback]
        removed = len(self._callbacks) - len(kept)
        self._callbacks = kept
        return removed

    def cancel(self, msg: object = None) -> bool:
        if self._is_done:
            return False
        self._is_cancelled, self._message = True, msg
        self._end()
        return True

    # For who has the answer.

    def finish(self, result: Any) -> None:
        """The result is there, no task runs, and nothing is left to be done here: who waits goes on now."""
        self._result = result
        self._is_done = True
        callbacks, self._callbacks = self._callbacks, []
        for callback, context in callbacks:
            context.run(callback, self)

    def set_result(self, result: Any) -> None:
        self._result = result
        self._end()

    def set_exception(self, error: BaseException) -> None:
        self._error = error
        self._end()

    def _end(self) -> None:
        self._is_done = True
        callbacks, self._callbacks = self._callbacks, []
        for callback, context in callbacks:
            self._loop.call_soon(callback, self, context=context)
