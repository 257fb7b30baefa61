"""The events of a host, for a thread to iterate over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .iteration import Iteration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from plugin_host import event
    from plugin_host.event import HostEvent

    from .loopthread import LoopThread

__all__ = ["EventStream"]


class EventStream:
    """An iterator of the events since it was made. Ends when it, as a context manager or not, or the host
    is closed."""

    def __init__(self, thread: LoopThread, stream: event.EventStream) -> None:
        self._thread = thread
        self._stream = stream
        self._iteration = Iteration(thread, stream.__aiter__(), "a stream of events")

    def __iter__(self) -> Iterator[HostEvent]:
        return self

    def __next__(self) -> HostEvent:
        return self._iteration.next()

    def close(self) -> None:
        """No more events come; those that wait can still be read. A thread that waits for one ends."""
        self._thread.run(self._close())

    async def _close(self) -> None:
        self._stream.close()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
