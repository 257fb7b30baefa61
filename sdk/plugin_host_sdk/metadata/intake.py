"""Asking the host for a task, for as long as there is none.

Invariants: a task is entered on the thread that reads, so whatever the host says of it next finds it; one
that the host hands over is taken or given back. Whoever stops waiting ends the stream that it named for the
log, and so the host knows that nobody has the task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from plugin_host_sdk.errors import CallCancelled, CallError, CallFailed, CallTimeout
from plugin_host_sdk.later import Later
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

_GIVEN_UP = "the plugin waits for no task any more"


class Intake:
    """Takes tasks for one plugin and enters them into `book`."""

    def __init__(
        self, runtime: Runtime, book: TaskBook, ending: Callable[[Task, float], object] | None
    ) -> None:
        self._runtime = runtime
        self._book = book
        self._ending = ending

    def take(self, ctx: Context) -> Task:
        """The next task, waited for on this thread. Raises CallCancelled with `ctx`, CallTimeout,
        CallError."""
        ctx.check()
        taken, give_up = self._ask(ctx)
        self._runtime.step_aside()
        try:
            task: Task = taken.wait(ctx.remaining())
        except BaseException:
            give_up()
            self._leave(taken)
            raise
        finally:
            ctx.cancelled.forget(give_up)
        ctx.task = task
        return task

    async def take_async(self, ctx: Context) -> Task:
        """The same on an event loop."""
        import asyncio

        ctx.check()
        taken, give_up = self._ask(ctx)
        try:
            async with asyncio.timeout(ctx.remaining()):
                task: Task = await taken
        except BaseException as error:
            give_up()
            self._leave(taken)
            if isinstance(error, TimeoutError):
                text = f"the deadline of {ctx.name!r} passed while it waited for a task"
                raise CallTimeout(text, name="rpc.deadline_exceeded") from None
            raise
        finally:
            ctx.cancelled.forget(give_up)
        ctx.task = task
        return task

    def _ask(self, ctx: Context) -> tuple[Later, Callable[[], None]]:
        """What will be the task, and what ends the asking; that is listening to `ctx` already."""
        taken = Later()
        stream = self._runtime.sink.reserve()
        is_async = ctx.is_async
        is_given_up = False

        def enter(answer: Any, error: CallError | None) -> None:
            """On the thread that reads, or on that of who gives up."""
            try:
                if error is not None:
                    raise error
                task = self._enter(stream, answer, is_async)
            except CallError as problem:
                if error is None or is_given_up:
                    self._give_back(stream)
                else:  # the host has not opened it
                    self._runtime.sink.forget(stream)
                taken.fail(problem)
            else:
                taken.resolve(task)

        drop = ctx._session.start_call(ctx, "metadata.execute", {"log": stream}, enter)

        def give_up() -> None:
            nonlocal is_given_up
            is_given_up = True
            drop(CallCancelled(f"{_GIVEN_UP}: {ctx.cancelled.reason or ''}", name="rpc.cancelled"))

        ctx.cancelled.listen(give_up)
        return taken, give_up

    def _enter(self, stream: int, answer: Any, is_async: bool) -> Task:
        try:
            order = msgspec.convert(answer, TaskOrder)
        except msgspec.ValidationError as error:
            raise CallFailed(f"the host answered metadata.execute: {error}", name="rpc.internal") from None
        log = TaskLog(self._runtime.sink, stream, order.log_window)
        task = Task(order, log, self._runtime, is_async=is_async, ending=self._ending)
        self._book.add(task)
        return task

    def _leave(self, taken: Later) -> None:
        """Nobody waits any more; one that came at this very moment fails."""

        def fail(task: Task | None, error: CallError | None) -> None:
            if task is not None:
                task.abandon(_GIVEN_UP)

        taken.then(fail)

    def _give_back(self, stream: int) -> None:
        sink = self._runtime.sink
        try:
            sink.open_output(stream, 0, _Nobody())
        except CallError:
            return  # it was not to be had
        sink.end(stream, {"name": "rpc.cancelled", "message": _GIVEN_UP})
        sink.flush()


class _Nobody:
    """Listens to a stream that only ends."""

    def credited(self, size: int) -> None:
        pass

    def stopped(self) -> None:
        pass
