"""Work that may wait in the kernel, in a thread of its own that ends with it.

Not in the loop's own threads: those may all be taken, and a stop must not wait for that.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["apart"]

T = TypeVar("T")


async def apart(work: Callable[[], T]) -> T:
    """What `work` returns or raises. Where there can be no thread it runs here.

    Cancelling does not end it; nobody hears its result then.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as problem:
            error = problem
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:  # the loop is closed: nobody waits
            pass

    try:
        threading.Thread(target=run, name="plugin-host-errand", daemon=True).start()
    except RuntimeError:  # no threads left
        return work()
    return await done
