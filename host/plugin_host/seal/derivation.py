"""Deriving keys beside the loop, a few at once: each takes 32 MiB and some tens of milliseconds."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

from .key import derive

if TYPE_CHECKING:
    from .key import Keys

__all__ = ["AT_ONCE", "derive_beside"]

AT_ONCE = 4

_slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
    weakref.WeakKeyDictionary()
)


async def derive_beside(secret: bytes, salt: bytes) -> Keys:
    """The keys, once one of the loop's few places for this is free."""
    loop = asyncio.get_running_loop()
    slots = _slots.setdefault(loop, asyncio.Semaphore(AT_ONCE))
    await slots.acquire()
    work = loop.run_in_executor(None, derive, secret, salt)
    # Who stops waiting does not stop the work, and its place is taken until that is done.
    work.add_done_callback(lambda _: slots.release())
    return await asyncio.shield(work)
