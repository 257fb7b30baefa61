"""Room that links read into: 64 KiB, which only a read needs, and a host of many plugins should have once.

Invariant: what was read is decoded, and so copied, before anybody else can read into the same room. On one
thread that is so by itself: decoding calls nobody. Links that several threads read have room of their own.
"""

from __future__ import annotations

import mmap
import threading

__all__ = ["READ_BYTES", "own_room", "shared_room"]

# From 128 KiB on every read maps and unmaps its memory, which costs more than the read.
READ_BYTES = 64 * 1024

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
