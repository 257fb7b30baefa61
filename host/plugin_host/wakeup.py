"""A result for who waits for a future of asyncio's, and goes on at once.

Such a future has its task wait for the loop's next turn, by a handle of its own: a sixth of what one of
many calls costs the host. Invariant: this is used where a task may be run (see `callfuture`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["finish"]


def finish(future: asyncio.Future[Any], result: Any) -> None:
    """Give a future that has not ended its result, and run the one who waits for it.

    Raises what ends the loop: KeyboardInterrupt and SystemExit of who was run.
    """
    callbacks = future._callbacks
    if callbacks is None or len(callbacks) != 1:
        future.set_result(result)
        return
    callback, context = callbacks[0]
    future.remove_done_callback(callback)
    future.set_result(result)
    context.run(callback, future)
