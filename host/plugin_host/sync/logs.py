"""What the plugins of a host log, for threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .iteration import Iteration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from plugin_host import logbook
    from plugin_host.logbook import LogRecord

    from .loopthread import LoopThread

__all__ = ["LogStream", "Logbook"]


class Logbook:
    """See `plugin_host.Logbook`."""

    def __init__(self, thread: LoopThread, book: logbook.Logbook) -> None:
        self._thread = thread
        self._book = book

    def records(
        self, plugin: str | None = None, *, level: str = "debug", tail: int | None = None
    ) -> list[LogRecord]:
        """What is kept, the oldest first; see `plugin_host.Logbook.records`."""
        return self._thread.run(self._records(plugin, level, tail))

    async def _records(self, plugin: str | None, level: str, tail: int | None) -> list[LogRecord]:
        return self._book.records(plugin, level=level, tail=tail)

    def follow(self, plugin: str | None = None, *, level: str = "info") -> LogStream:
        """What is logged from now on, as an iterator that waits; it ends with the host."""
        return LogStream(self._thread, self._thread.run(self._follow(plugin, level)))

    async def _follow(self, plugin: str | None, level: str) -> logbook.LogStream:
        return self._book.follow(plugin, level=level)


class LogStream:
    """An iterator of records. Ends when it, as a context manager or not, or the host is closed."""

    def __init__(self, thread: LoopThread, stream: logbook.LogStream) -> None:
        self._thread = thread
        self._stream = stream
        self._iteration = Iteration(thread, stream.__aiter__(), "a stream of records")

    def __iter__(self) -> Iterator[LogRecord]:
        return self

    def __next__(self) -> LogRecord:
        return self._iteration.next()

    def close(self) -> None:
        """No more records come; those that wait can still be read. A thread that waits for one ends."""
        self._thread.run(self._close())

    async def _close(self) -> None:
        self._stream.close()

    def __enter__(self) -> LogStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
