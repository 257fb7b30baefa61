"""Writes to stderr beside a loop that must not wait for whoever reads it.

A terminal that Ctrl-S holds, or a pipe that nobody empties, takes no more; the host goes on. Invariants:
the thread holds no lock while it writes; at most `_HELD_BYTES` wait, and what is dropped is counted in
its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Lock, Thread

from . import output

__all__ = ["Aside", "aside"]

_HELD_BYTES = 1024 * 1024

# How long the last lines may take, when stderr is hardly read.
_LAST_WORDS_S = 1.0


@contextmanager
def aside() -> Iterator[None]:
    """In which nobody who complains waits until it is written."""
    writer = Aside()
    try:
        with output.complaints_to(writer.put):
            yield
    finally:
        writer.close()


class Aside:
    """One thread that writes what it is given, in order. Any thread may give it something."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held = 0
        self._dropped = 0
        self._orders: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="plugin-host-stderr", daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        """Have `data` written, or dropped when too much waits."""
        with self._lock:
            if self._held and self._held + len(data) > _HELD_BYTES:
                self._dropped += 1
                return
            data = self._note() + data
            self._held += len(data)
            self._orders.put(data)

    def close(self) -> None:
        """End the thread, after what waits if that is taken soon."""
        self._orders.put(None)
        self._thread.join(_LAST_WORDS_S)

    def _work(self) -> None:
        while (data := self._orders.get()) is not None:
            output.hear(data)
            with self._lock:
                self._held -= len(data)
                note = b"" if self._held else self._note()
            if note:
                output.hear(note)

    def _note(self) -> bytes:
        """What says how much was dropped since it was said last, if anything."""
        count, self._dropped = self._dropped, 0
        if not count:
            return b""
        return f"plugin-host: stderr was not read; messages that are missing here: {count}\n".encode()
