"""Writes to stdout from a loop that must not wait for whoever reads it.

A pager that is not scrolled stops reading; the host behind it goes on. Invariant: the thread holds no
lock while it writes, so the process can end even when the write never does.
"""

from __future__ import annotations

import asyncio
from queue import SimpleQueue
from threading import Thread

from . import output

__all__ = ["Outlet"]

_Order = tuple[str, "asyncio.Future[None]"]


class Outlet:
    """One thread that writes what it is given, in order. Made and used on the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        Thread(target=self._work, name="plugin-host-stdout", daemon=True).start()

    async def write(self, text: str) -> None:
        """Returns when `text` is written; raises what `output.write` raises."""
        written: asyncio.Future[None] = self._loop.create_future()
        self._orders.put((text, written))
        await written

    def close(self) -> None:
        """End the thread after what it is writing now."""
        self._orders.put(None)

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            text, written = order
            failure: Exception | None = None
            try:
                output.write(text)
            except Exception as error:
                failure = error
            try:
                self._loop.call_soon_threadsafe(_settle, written, failure)
            except RuntimeError:  # the loop has ended without waiting
                return


def _settle(written: asyncio.Future[None], failure: Exception | None) -> None:
    if written.done():
        return
    if failure is None:
        written.set_result(None)
    else:
        written.set_exception(failure)
