"""Room that links read into: 64 KiB, which only a read needs, and a host of many plugins should have once.

Invariant: what was read is decoded, and so copied, before anybody else can read into the same room. On one
thread that is so by itself: decoding calls nobody. Links that several threads read have room of their own.
After a flood a link fills a small part of it at a time.
"""

from __future__ import annotations

import mmap
import threading
from typing import TYPE_CHECKING

from plugin_host_sdk.events import ResponseReceived

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plugin_host_sdk.events import Event

__all__ = ["READ_BYTES", "SMALL_READ_BYTES", "is_flood", "own_room", "shared_room"]

# From 128 KiB on every read maps and unmaps its memory, which costs more than the read.
READ_BYTES = 64 * 1024

SMALL_READ_BYTES = 4 * 1024
"""What is read at a time of a peer that sends without end, so that it has its turn of the loop like
everybody else; what it sends waits in the kernel."""

_MANY_EVENTS = 128

_shared = threading.local()


def shared_room() -> memoryview:
    """The one of this thread."""
    room: memoryview | None = getattr(_shared, "room", None)
    if room is None:
        room = _shared.room = memoryview(bytearray(READ_BYTES))
    return room


def own_room() -> memoryview:
    """One more. It takes no memory before it is written to, and then as much as the largest read took."""
    return memoryview(mmap.mmap(-1, READ_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def is_flood(events: Sequence[Event], size: int) -> bool:
    """Whether a read of `size` bytes held so much that is no answer that small ones are to follow."""
    is_much = len(events) > _MANY_EVENTS or size == SMALL_READ_BYTES
    return is_much and bool(events) and type(events[-1]) is not ResponseReceived
