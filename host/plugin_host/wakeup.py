"""Results for those who wait for futures of asyncio's, and go on at once.

Such a future has its task wait for the loop's next turn, by a handle of its own: a sixth of what one of
many calls costs the host. Invariant: this is used where a task may be run (see `callfuture`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import CallError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Iterator

__all__ = ["finish", "settle"]


def finish(going: Iterator[tuple[asyncio.Future[Any], Any]]) -> None:
    """Give each future that has not ended its outcome, a result or an error, and run who waits for it.

    Raises what ends the loop, KeyboardInterrupt and SystemExit of who was run; `going` has the others then.
    """
    for future, outcome in going:
        callbacks = future._callbacks  # none of one that has ended
        if callbacks is None or len(callbacks) != 1 or isinstance(outcome, CallError):
            settle(((future, outcome),))
            continue
        callback, context = callbacks[0]
        future.remove_done_callback(callback)
        future.set_result(outcome)
        context.run(callback, future)


def settle(going: Iterable[tuple[asyncio.Future[Any], Any]]) -> None:
    """The same for those who are to go on in the loop's next turn."""
    for future, outcome in going:
        if future.done():
            continue
        if isinstance(outcome, CallError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
