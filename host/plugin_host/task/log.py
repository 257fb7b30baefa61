"""The log of a task: its newest bytes, and those that an attached reader has still to get.

Nobody has to read it: then it is a ring, and takes whatever comes. Who reads loses nothing: the bytes from
its place on are kept, and once they are a ring full, the log takes no more until it has read on.
Invariants: a log holds a ring full, two once its task is to end, and what its worker may send ahead, no
more; every reader gets every byte from its start to the end. Used from the thread of the loop only.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOG_BYTES", "TaskLog"]

LOG_BYTES = 1_000_000
"""What is kept of the newest bytes."""

_numbers = count(1)


class TaskLog:
    """Bytes from offset `start` up to `end`. `on_room()` is called when `limit` has risen."""

    def __init__(self, kept: int = LOG_BYTES) -> None:
        self.start = 0
        self.end = 0
        self.is_over = False
        self.on_room: Callable[[], None] = lambda: None
        self._kept = kept
        self._spare = 0
        self._bytes = bytearray()
        self._places: dict[int, int] = {}  # of readers: what comes next for each
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._writers: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"<TaskLog {self.start}-{self.end} readers={len(self._places)}>"

    # Writing.

    @property
    def limit(self) -> int:
        """The offset up to which bytes are taken: the slowest reader's place and a ring full more.

        Without readers there is none: what has come is taken.
        """
        slowest = min(self._places.values(), default=None)
        return self.end if slowest is None else min(self.end, slowest + self._kept + self._spare)

    def append(self, data: bytes) -> None:
        """More of the log."""
        self._bytes += data
        self.end += len(data)
        self._trim()
        self._wake_readers()

    async def wait_for_room(self) -> None:
        """Wait until all that has come is taken, or nobody has to read any more."""
        while self.limit < self.end and not self.is_over:
            writer = asyncio.get_running_loop().create_future()
            self._writers.append(writer)
            await writer

    def make_room(self) -> None:
        """Its task is to end: a ring full more is taken, so that the last words wait for no reader."""
        if not self._spare:
            self._spare = self._kept
            self._tell_room()

    def conclude(self) -> None:
        """Nothing more comes."""
        self.is_over = True
        self._wake_readers()
        self._tell_room()

    # Reading.

    def attach(self, offset: int) -> int:
        """A reader whose next byte is at `offset`, which is kept; its number."""
        number = next(_numbers)
        self._places[number] = offset
        return number

    def detach(self, number: int) -> None:
        """That reader reads no more."""
        if self._places.pop(number, None) is not None:
            waiting = self._waiting.get(number)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
            self._trim()
            self._tell_room()

    def place(self, number: int) -> int | None:
        """The offset of what comes next for a reader; None when it is attached no longer."""
        return self._places.get(number)

    def is_waited_for(self, number: int) -> bool:
        """Whether that reader waits for more."""
        return number in self._waiting

    def take(self, number: int, most: int) -> bytes:
        """The next bytes of a reader, at most so many; b"" when there are none now."""
        place = self._places[number]
        begin = place - self.start
        data = bytes(memoryview(self._bytes)[begin : begin + most])
        if data:
            self._places[number] = place + len(data)
            self._trim()
            self._tell_room()
        return data

    async def wait_for_more(self, number: int) -> None:
        """Wait until that may be worth another look: more came, the end, or `detach`."""
        if number in self._waiting:
            raise RuntimeError("a log is iterated over by two tasks; have one reader for each")
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await waiting
        finally:
            del self._waiting[number]

    def _trim(self) -> None:
        """Forget what is neither among the newest nor still to be read."""
        floor = min(self.end - self._kept, min(self._places.values(), default=self.end))
        if floor > self.start:
            del self._bytes[: floor - self.start]
            self.start = floor

    def _wake_readers(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)

    def _tell_room(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            if not writer.done():
                writer.set_result(None)
        self.on_room()
