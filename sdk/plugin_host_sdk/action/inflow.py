"""The data of an action on its way from the host to the author's code.

At most a window of it waits here; what was taken is given back as credit. Bytes come on the reading thread;
the author takes them wherever the handler runs, `for` in a plain one and `async for` in an async one.
Invariant: the iteration ends quietly only behind the last byte that the host wanted to send.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.errors import ActionFailed, CallCancelled, CallError, excerpt
from plugin_host_sdk.later import Later

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from plugin_host_sdk.cancellation import Cancellation
    from plugin_host_sdk.sink import Sink

__all__ = ["Inflow"]


class Inflow:
    """An iterator of bytes: stream `number`. Raises CallCancelled when the action is cancelled, and
    ActionFailed when the host could not send all of it."""

    def __init__(self, sink: Sink, number: int, cancelled: Cancellation) -> None:
        self._sink = sink
        self._number = number
        self._cancelled = cancelled
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._has_ended = False
        self._error: CallError | None = None
        self._taker: Later | None = None
        cancelled.listen(self._rouse)

    def __repr__(self) -> str:
        return f"<Inflow {self._number} waiting={len(self._waiting)} ended={self._has_ended}>"

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while isinstance(found := self._take(), Later):
            found.wait()
        if found is None:
            raise StopIteration
        return found

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while isinstance(found := self._take(), Later):
            await found
        if found is None:
            raise StopAsyncIteration
        return found

    def close(self) -> None:
        """The author has done with it: what still comes is dropped."""
        self._cancelled.forget(self._rouse)
        with self._lock:
            has_ended, self._has_ended = self._has_ended, True
            self._waiting.clear()
        if not has_ended:
            self._sink.stop(self._number)
            self._sink.flush()

    def _take(self) -> bytes | Later | None:
        """The next bytes; what to wait for; or None at the end."""
        with self._lock:
            if self._cancelled:
                raise CallCancelled(f"cancelled: {self._cancelled.reason}", name="rpc.cancelled")
            if self._waiting:
                data = self._waiting.popleft()
            elif self._error is not None:
                raise self._error
            elif self._has_ended:
                return None
            else:
                self._taker = Later()
                return self._taker
        self._sink.consumed(self._number, len(data))
        self._sink.flush()
        return data

    # The sink's calls.

    def received(self, offset: int, data: bytes) -> None:
        with self._lock:
            if self._has_ended:
                return
            self._waiting.append(data)
        self._rouse()

    def ended(self, total: int, error: Any = None) -> None:
        with self._lock:
            self._has_ended = True
            if error is not None:
                words = CallError.from_map(error).message if isinstance(error, dict) else excerpt(error)
                self._error = ActionFailed(f"the data ended after {total} bytes: {words}")
        self._rouse()

    def _rouse(self) -> None:
        with self._lock:
            taker, self._taker = self._taker, None
        if taker is not None:
            taker.resolve()
