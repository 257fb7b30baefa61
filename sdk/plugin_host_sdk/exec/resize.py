"""The sizes that reach an author's terminal handler: only the newest counts."""

from __future__ import annotations

import threading

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.later import Later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from plugin_host_sdk.types.session import Size

__all__ = ["Resizes"]


class Resizes:
    """The sizes of one session's terminal, as they change. Iterate over it, plainly or with `async for`.

    A size that was not taken before the next one came is skipped. The iteration ends with the session.
    """

    def __init__(self, session: str) -> None:
        self._session = session
        self._changed = threading.Condition()
        self._newest: Size | None = None
        self._putters: list[Later] = []  # who wait for the newest to be taken
        self._getters: list[Later] = []  # coroutines that wait for the next
        self._is_closed = False

    def get(self, timeout: float | None = None) -> Size | None:
        """The next size; None after `timeout` seconds without one, and when the session has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._is_closed, timeout)
            size, putters = self._take()
        _resolve(putters)
        return size

    def __iter__(self) -> Iterator[Size]:
        return self

    def __next__(self) -> Size:
        size = self.get()
        if size is None:
            raise StopIteration
        return size

    def __aiter__(self) -> Resizes:
        return self

    async def __anext__(self) -> Size:
        while True:
            waiting = Later()
            with self._changed:
                size, putters = self._take()
                is_over = size is None and self._is_closed
                if size is None and not is_over:
                    self._getters.append(waiting)
            _resolve(putters)
            if size is not None:
                return size
            if is_over:
                raise StopAsyncIteration
            try:
                await waiting
            finally:
                self._forget(waiting)  # who gave up waiting must take nothing

    def _forget(self, getter: Later) -> None:
        with self._changed:
            if getter in self._getters:
                self._getters.remove(getter)

    # The session's.

    def put(self, size: Size, later: Later | None = None) -> None:
        """Offer a size; `later` is resolved when the handler took it, or a newer one."""
        with self._changed:
            self._newest = size
            if later is not None:
                self._putters.append(later)
            getters, self._getters = self._getters, []
            self._changed.notify_all()
        _resolve(getters)

    def give_up(self, later: Later, seconds: float) -> None:
        """The handler did not take it in time."""
        later.fail(
            TerminalError(
                f"its handler did not take the new size within {seconds:g} s", session=self._session
            )
        )
        with self._changed:
            if later in self._putters:
                self._putters.remove(later)

    def close(self) -> None:
        """There will be no more."""
        with self._changed:
            self._is_closed = True
            getters, self._getters = self._getters, []
            putters, self._putters = self._putters, []
            self._changed.notify_all()
        _resolve(getters)
        _resolve(putters)

    def _take(self) -> tuple[Size | None, list[Later]]:
        size, self._newest = self._newest, None
        if size is None:
            return None, []
        putters, self._putters = self._putters, []
        return size, putters


def _resolve(laters: list[Later]) -> None:
    for later in laters:
        later.resolve({})
