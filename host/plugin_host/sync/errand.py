"""Something that a loop does on behalf of a thread, which waits for it.

A handler of a signal may raise in who waits, between any two instructions. Invariants: who waits holds no
lock that the loop needs, so whatever is raised and wherever, the loop goes on; `result` can be asked again.
The work is one side's at a time: whoever takes it, begins it or closes it.
"""

from __future__ import annotations

from _thread import allocate_lock
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

__all__ = ["Errand"]

_T = TypeVar("_T")


class Errand(Generic[_T]):
    """`on_done` is called once when it has ended, where it ended. `is_done` says whether it has."""

    __slots__ = ("_end", "_error", "_loop", "_on_done", "_task", "_value", "_work", "is_done")

    def __init__(self, work: Coroutine[Any, Any, _T], on_done: Callable[[], object]) -> None:
        self._work = [work]  # whose `pop` is one step
        self._on_done = on_done
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[_T] | None = None
        self._value: Any = None
        self._error: BaseException | None = None
        self.is_done = False
        self._end = allocate_lock()  # locked until it is done
        self._end.acquire()

    # For who waits.

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have `loop` do it."""
        self._loop = loop
        loop.call_soon_threadsafe(self._begin, loop)

    def give_up(self) -> None:
        """Nobody waits for it, and however far it has come, it ends."""
        if (work := self.take()) is not None:
            work.close()
        else:
            self.cancel()

    def result(self) -> _T:
        """What came of it; waits. Raises what it ended with, CancelledError when it was cancelled."""
        if not self.is_done:
            self._end.acquire()
            self._end.release()  # for the next who waits
        if self._error is not None:
            raise self._error
        value: _T = self._value
        return value

    def cancel(self) -> None:
        """Nobody wants it any more."""
        if not self.is_done and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._cancel)
            except RuntimeError:
                pass  # the loop is closed, and what it did is over

    # Where it is done.

    def take(self) -> Coroutine[Any, Any, _T] | None:
        """The work, for the first who asks."""
        try:
            return self._work.pop()
        except IndexError:
            return None

    def end(self, value: _T | None, error: BaseException | None = None) -> None:
        """That is what came of it, unless something had already."""
        if not self.is_done:
            self._value, self._error = value, error
            self.is_done = True
            self._end.release()
            self._on_done()

    def lose(self) -> None:
        """Nothing comes of it."""
        self.end(None, CancelledError())

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if (work := self.take()) is not None:
            self._task = loop.create_task(work)
            self._task.add_done_callback(self._note)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif (work := self.take()) is not None:
            work.close()
            self.lose()

    def _note(self, task: asyncio.Task[_T]) -> None:
        if task.cancelled():
            self.lose()
        elif (error := task.exception()) is not None:
            self.end(None, error)
        else:
            self.end(task.result())
