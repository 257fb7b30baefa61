"""The thread on which one source of data is read, which may wait there for as long as it likes.

Invariants: nobody else waits for it, least of all the end of the process; what is asked of it is done in
order, also when who asked has gone; it ends with its source.
"""

from __future__ import annotations

import contextvars
import threading
import weakref
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from plugin_host.errand import promise
from plugin_host.errors import CallFailed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SourceThread"]

_T = TypeVar("_T")
_Jobs = SimpleQueue["Callable[[], None] | None"]


class SourceThread:
    """A daemon, started by the first who needs it."""

    def __init__(self) -> None:
        self._jobs: _Jobs = SimpleQueue()
        self._has_begun = False
        self._finalizer = weakref.finalize(self, self._jobs.put, None)
        self._finalizer.atexit = False

    def __repr__(self) -> str:
        return f"<SourceThread begun={self._has_begun}>"

    async def do(self, work: Callable[[], _T]) -> _T:
        """What `work` returns or raises. Cancelling does not end it; nobody hears its result then.

        Raises CallFailed where there can be no thread.
        """
        done, run = promise(partial(contextvars.copy_context().run, work))
        self._begin()
        self._jobs.put(run)
        return await done

    def end(self, last: Callable[[], None] | None = None) -> None:
        """Nothing more is to be done but `last`, behind what goes on now."""
        if self._finalizer.detach() is None:
            return
        if last is not None:
            if self._has_begun:
                self._jobs.put(last)
            else:
                last()
        self._jobs.put(None)

    def _begin(self) -> None:
        if self._has_begun:
            return
        name = "plugin-host-source"
        try:
            threading.Thread(target=_live, args=(self._jobs,), name=name, daemon=True).start()
        except RuntimeError as error:
            raise CallFailed(f"there is no thread to read the data: {error}", name="rpc.busy") from None
        self._has_begun = True


def _live(jobs: _Jobs) -> None:
    while (job := jobs.get()) is not None:
        try:
            job()
        except Exception:  # of a close, which nobody waits for
            pass
        del job  # holds what its work held
