"""What is left of the soak when it is over, in this process, in the plugins and in the machine."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["here", "marked", "remains"]

_SETTLING_S = 10.0


async def here() -> Counter[str]:
    """Descriptors by kind, threads and tasks of this process."""
    held: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        try:
            held[f"descriptors of kind {os.readlink(f'/proc/self/fd/{name}').partition(':')[0]}"] += 1
        except OSError:
            pass  # that of this very listing
    held.update(f"threads named {thread.name}" for thread in threading.enumerate())
    held["tasks"] = len(asyncio.all_tasks())
    return held


def marked(mark: str) -> list[int]:
    """Processes, other than this one, that have the words `NAME=value` in their environment."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as environ:
                    if mark.encode() in environ.read().split(b"\0"):
                        found.append(int(name))
            except OSError:
                pass  # it has ended, or is another's
    return found


async def remains(look: Callable[[], Awaitable[Counter[str]]], before: Counter[str]) -> Counter[str]:
    """What there is more of than before, once nothing more goes away."""
    end = time.monotonic() + _SETTLING_S
    while True:
        left = await look() - before
        if not left or time.monotonic() > end:
            return left
        await asyncio.sleep(0.05)
