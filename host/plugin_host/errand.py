"""Work that may wait in the kernel, in a thread of its own that ends with it.

Not in the loop's own threads: those may all be taken, and a stop must not wait for that.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["apart", "promise"]

T = TypeVar("T")


async def apart(work: Callable[[], T]) -> T:
    """What `work` returns or raises. Where there can be no thread it runs here.

    Cancelling does not end it; nobody hears its result then.
    """
    done, run = promise(work)
    try:
        threading.Thread(target=run, name="plugin-host-errand", daemon=True).start()
    except RuntimeError:  # no threads left
        return work()
    return await done


def promise(work: Callable[[], T]) -> tuple[asyncio.Future[T], Callable[[], None]]:
    """A future of the running loop, and what is to be called in a thread to have it fulfilled.

    That calls `work`, whether or not somebody waits still, and raises nothing.
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
        result: T | None = None
        error: BaseException | None = None
        try:
            result = work()
        except StopIteration as end:  # which no future can carry
            error = RuntimeError(f"the work raised {end!r}")
        except BaseException as problem:
            error = problem
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:  # the loop is closed: nobody waits
            pass

    return done, run
