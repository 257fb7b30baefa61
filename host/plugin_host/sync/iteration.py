"""An async iterator, one step at a time from a thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .errand import Errand
    from .loopthread import LoopThread

__all__ = ["Iteration"]

_T = TypeVar("_T")


class Iteration(Generic[_T]):
    """Steps of `source` on the loop. A step that was interrupted is not lost: it is the next one."""

    def __init__(self, thread: LoopThread, source: AsyncIterator[_T], name: str) -> None:
        self._thread = thread
        self._source = source
        self._name = name
        self._step: Errand[tuple[_T] | None] | None = None
        self._turn = threading.Lock()

    def next(self) -> _T:
        """The next item. Raises StopIteration, and RuntimeError while another thread waits for one."""
        if not self._turn.acquire(blocking=False):
            raise RuntimeError(f"{self._name} is iterated over by two threads; have one for each")
        try:
            if self._step is None:
                self._step = self._thread.submit(self._advance())
            try:
                item = self._thread.result(self._step)
            finally:
                if self._step.is_done:
                    self._step = None
        finally:
            self._turn.release()
        if item is None:
            raise StopIteration
        return item[0]

    async def _advance(self) -> tuple[_T] | None:
        try:
            return (await anext(self._source),)
        except StopAsyncIteration:
            return None
