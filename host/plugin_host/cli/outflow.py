"""Writes bytes to descriptors from a loop that must not wait for whoever reads them.

One thread writes what it is given, in order, a batch at a time, so that a reader that is fast is never
kept waiting by the loop, and one that is slow keeps only those waiting who write to it. Invariant: no
byte is dropped or written twice, and no more than `_MOST_BYTES` and one piece are on their way. The
thread holds no lock while it writes, so the process can end even when the write never does.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections import deque
from threading import Condition, Thread
from typing import NoReturn

from .output import WriteFailed

__all__ = ["Outflow"]

_MOST_BYTES = 1024 * 1024


class Outflow:
    """Made and used on the loop. What cannot be written is raised: BrokenPipeError, WriteFailed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._changed = Condition()
        # Guarded by the condition:
        self._pieces: deque[tuple[int, bytes | memoryview]] = deque()
        self._size = 0
        self._failure: Exception | None = None
        self._is_closed = False
        self._waiter: tuple[asyncio.Future[None], int] | None = None
        Thread(target=self._work, name="plugin-host-outflow", daemon=True).start()

    async def write(self, fd: int, data: bytes | memoryview) -> None:
        """Give `data` to the thread; returns once little enough is on its way. For one task."""
        with self._changed:
            self._check()
            self._pieces.append((fd, data))
            self._size += len(data)
            self._changed.notify()
            if self._size <= _MOST_BYTES:
                return
        await self._fallen_to(_MOST_BYTES // 2)

    async def flush(self) -> None:
        """Returns when everything is written."""
        await self._fallen_to(0)

    async def broken(self) -> NoReturn:
        """Wait until something cannot be written, and raise that."""
        await asyncio.shield(self._broken)
        self._check()
        raise AssertionError("nothing has failed")

    def close(self) -> None:
        """End the thread after what it is writing now; the rest is forgotten."""
        with self._changed:
            self._is_closed = True
            self._pieces.clear()
            self._changed.notify()

    async def _fallen_to(self, size: int) -> None:
        with self._changed:
            self._check()
            if self._size <= size:
                return
            reached = self._loop.create_future()
            self._waiter = (reached, size)
        await reached
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                for fd, data in batch:
                    _write(fd, data)
                    self._written(len(data))
            except OSError as error:
                self._failed(error, fd)
                return

    def _next_batch(self) -> list[tuple[int, bytes | memoryview]] | None:
        with self._changed:
            while not self._pieces and not self._is_closed:
                self._changed.wait()
            if self._is_closed:
                return None
            batch = list(self._pieces)
            self._pieces.clear()
            return batch

    def _written(self, size: int) -> None:
        with self._changed:
            self._size -= size
            if self._waiter is not None and self._size <= self._waiter[1]:
                self._wake()

    def _failed(self, error: OSError, fd: int) -> None:
        name = "stdout" if fd == 1 else "stderr"
        failure = WriteFailed(f"cannot write to {name}: {error.strerror}")
        with self._changed:
            self._failure = error if isinstance(error, BrokenPipeError) else failure
            if self._waiter is not None:
                self._wake()
            self._call_soon(self._broken)

    def _wake(self) -> None:
        assert self._waiter is not None
        reached, self._waiter = self._waiter[0], None
        self._call_soon(reached)

    def _call_soon(self, future: asyncio.Future[None]) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, future)
        except RuntimeError:  # the loop has ended without waiting
            pass


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _write(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # another process has made the shared descriptor non-blocking
            select.select((), (fd,), ())
