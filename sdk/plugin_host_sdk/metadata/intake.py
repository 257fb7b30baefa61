"""Asking the host for a task, for as long as there is none.

Invariant: a task that the host hands over is taken, or given back: whoever stops waiting ends the stream
that it named for the log, and so the host knows that nobody has the task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from plugin_host_sdk.errors import CallError, CallFailed
from plugin_host_sdk.types.task import TaskOrder

from .task import Task
from .tasklog import TaskLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.endpoint import Runtime

    from .book import TaskBook

__all__ = ["Intake"]


class Intake:
    """Takes tasks for one plugin and enters them into `book`."""

    def __init__(
        self, runtime: Runtime, book: TaskBook, ending: Callable[[Task, float], object] | None
    ) -> None:
        self._runtime = runtime
        self._book = book
        self._ending = ending

    def take(self, ctx: Context) -> Task:
        """The next task, waited for on this thread. Raises CallCancelled with `ctx`, CallError."""
        stream = self._runtime.sink.reserve()
        try:
            answer = ctx._session.call_host(ctx, "metadata.execute", {"log": stream})
            return self._enter(ctx, stream, answer)
        except BaseException:
            self._give_back(stream)
            raise

    async def take_async(self, ctx: Context) -> Task:
        """The same on an event loop."""
        stream = self._runtime.sink.reserve()
        try:
            answer = await ctx._session.call_host(ctx, "metadata.execute", {"log": stream})
            return self._enter(ctx, stream, answer)
        except BaseException:
            self._give_back(stream)
            raise

    def _enter(self, ctx: Context, stream: int, answer: Any) -> Task:
        ctx.check()
        try:
            order = msgspec.convert(answer, TaskOrder)
        except msgspec.ValidationError as error:
            raise CallFailed(f"the host answered metadata.execute: {error}", name="rpc.internal") from None
        log = TaskLog(self._runtime.sink, stream, order.log_window)
        task = Task(order, log, self._runtime, is_async=ctx.is_async, ending=self._ending)
        self._book.add(task)
        ctx.task = task
        return task

    def _give_back(self, stream: int) -> None:
        sink = self._runtime.sink
        try:
            sink.open_output(stream, 0, _Nobody())
        except CallError:
            return  # it is a task's already
        sink.end(stream, {"name": "rpc.cancelled", "message": "the plugin waits for no task any more"})
        sink.flush()


class _Nobody:
    """Listens to a stream that only ends."""

    def credited(self, size: int) -> None:
        pass

    def stopped(self) -> None:
        pass
