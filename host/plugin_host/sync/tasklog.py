"""Reading the log of a task from a thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .iteration import Iteration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from plugin_host.task import logreader

    from .loopthread import LoopThread

__all__ = ["LogReader"]


class LogReader:
    """Iterate over it for bytes; made by `Task.log`. See `plugin_host.LogReader`.

    A worker waits for one that is attached and does not read: close it, as the end of a `with` does, or let
    go of it.
    """

    def __init__(self, thread: LoopThread, reader: logreader.LogReader) -> None:
        self.thread = threading.get_ident()  # who read last
        self._thread = thread
        self._reader = reader
        self._iteration = Iteration(thread, reader.__aiter__(), repr(reader))

    def __repr__(self) -> str:
        return repr(self._reader)

    @property
    def start(self) -> int:
        """The offset of its first byte."""
        return self._reader.start

    @property
    def evicted(self) -> int:
        """How many of the bytes that were asked for are kept no longer."""
        return self._reader.evicted

    @property
    def offset(self) -> int:
        """The offset of the next byte."""
        return self._reader.offset

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.thread = threading.get_ident()
        return self._iteration.next()

    def release(self) -> None:
        """It is not waited for until it is asked for more; what is not kept until then is `evicted`."""
        self._thread.run(self._release())

    async def _release(self) -> None:
        self._reader.release()

    def close(self) -> None:
        """Read no more; nobody waits for this reader any longer."""
        self._thread.run(self._close())

    async def _close(self) -> None:
        self._reader.close()

    def __enter__(self) -> LogReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
