"""Work that is done to its end, also when whoever asked for it goes.

Invariant: work that was begun is held until it has ended; who still waits for it is told of its error, and
nobody else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine
    from contextvars import Context

__all__ = ["Undertakings", "all_done", "to_the_end"]

_T = TypeVar("_T")


class Undertakings:
    """What somebody has begun; `running` are the tasks of those that have not ended."""

    def __init__(self) -> None:
        self.running: set[asyncio.Task[Any]] = set()

    async def finish(self, work: Coroutine[Any, Any, _T], context: Context | None = None) -> _T:
        """What it returns or raises. Cancelling ends the wait, and not the work."""
        return await asyncio.shield(self.begin(work, context))

    def begin(self, work: Coroutine[Any, Any, _T], context: Context | None = None) -> asyncio.Task[_T]:
        """It goes on by itself, in `context` when one is given."""
        task = asyncio.get_running_loop().create_task(work, context=context)
        self.running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.running.discard(task)
        if not task.cancelled():
            task.exception()  # it is not lost on anybody who waits, and else nobody's


async def all_done(tasks: Collection[asyncio.Task[Any]], *, hurries: bool = True) -> None:
    """Wait for all of them, also when this task is cancelled; then raise what the first of them raised.

    When it `hurries`, they are cancelled with it, once: they clean up, and who cancels again and again, as
    scopes of anyio do until the task gives in, neither disturbs that nor gets around it.
    """
    cancelled: asyncio.CancelledError | None = None
    left: Collection[asyncio.Task[Any]] = tasks
    has_begun = False
    while left:
        try:
            if not has_begun:  # what is cancelled before its first step never takes one
                has_begun = True
                await asyncio.sleep(0)
            _, left = await asyncio.wait(left)
        except asyncio.CancelledError as this:
            if cancelled is None:
                cancelled = this  # the very one: a scope knows its own by the message
                for task in tasks if hurries else ():
                    task.cancel()
            left = [task for task in left if not task.done()]
    if cancelled is not None:
        for task in tasks:
            if not task.cancelled():
                task.exception()  # nobody else is there to be told
        raise cancelled
    for task in tasks:
        if (error := task.exception()) is not None:
            raise error


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Do what has an end in sight, such as closing; a cancellation of this task is raised behind it."""
    await all_done([asyncio.get_running_loop().create_task(work)], hurries=False)
