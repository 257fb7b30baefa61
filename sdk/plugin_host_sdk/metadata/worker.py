"""Those who take tasks and run the author's function with them, so many side by side.

Each worker is a thread, or a coroutine for an async function, that asks for a task, runs it, reports its
result and asks again. Invariant: a task that was taken gets a result, whatever the function does, unless
the host is gone.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from plugin_host_sdk.endpoint import is_async
from plugin_host_sdk.errors import CallCancelled, CallError, CallFailed

from .outcome import Outcome, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.endpoint import Runtime

    from .book import TaskBook
    from .intake import Intake
    from .option import PluginOpts
    from .task import Task

__all__ = ["Workers"]

_FIRST_PAUSE_S = 0.2  # after the host refused
_LONGEST_PAUSE_S = 30.0
_STOPPING = "the plugin is stopping"


class Workers:
    """The workers of one plugin."""

    def __init__(self, runtime: Runtime, opts: PluginOpts, intake: Intake, book: TaskBook) -> None:
        self._runtime = runtime
        self._opts = opts
        self._intake = intake
        self._book = book
        self._changed = threading.Condition()
        self._contexts: dict[int, Context] = {}  # of those that run, by their place
        self._cancels: dict[int, Callable[[], None]] = {}  # of coroutines among them
        self._width = 0
        self._is_closing = False

    def __repr__(self) -> str:
        return f"<Workers {len(self._contexts)} of {self._width}>"

    @property
    def width(self) -> int:
        """How many tasks run side by side."""
        return self._width

    def begin(self) -> None:
        """Start what the author declared. Raises RegistrationError for settings that cannot be meant."""
        run = self._opts.run
        if run is not None:
            self._launch(-1, self._run_async if is_async(run) else self._run)
        if self._opts.on_task is not None:
            self.resize(self._opts.width(self._runtime.context("metadata.task").settings))

    def resize(self, width: int) -> None:
        """Have so many tasks side by side. Those that are one too many end their task first."""
        work = self._work_async if is_async(self._opts.on_task) else self._work
        with self._changed:
            self._width = width
            missing = [place for place in range(width) if place not in self._contexts]
            surplus = [ctx for place, ctx in self._contexts.items() if place >= width]
        for place in missing:
            self._launch(place, work)
        for ctx in surplus:
            if getattr(ctx, "task", None) is None:
                ctx.cancelled.set("fewer tasks are to run side by side")

    def close(self, grace: float) -> None:
        """End every task within `grace` seconds, and tell the host how that went."""
        until = monotonic() + grace
        with self._changed:
            self._is_closing = True
            contexts = list(self._contexts.values())
        for task in self._book.open():
            task.kill(grace * 0.6)
        for ctx in contexts:
            ctx.cancelled.set(_STOPPING)
        with self._changed:
            self._changed.wait_for(lambda: not self._contexts, max(0.0, until - grace * 0.2 - monotonic()))
            cancels = list(self._cancels.values())
        for cancel in cancels:  # its process is gone, or it has none, and still it does not end
            cancel()
        with self._changed:
            self._changed.wait_for(lambda: not self._contexts, max(0.0, until - monotonic()))
        for task in self._book.open():
            task.lose(CallFailed(_STOPPING, name="rpc.cancelled"))

    def _launch(self, place: int, work: Callable[..., Any]) -> None:
        ctx = self._runtime.context("metadata.run" if place < 0 else "metadata.task")
        with self._changed:
            if self._is_closing or place in self._contexts:
                return
            self._contexts[place] = ctx
        if not is_async(work):
            threading.Thread(target=work, args=(place, ctx), name=f"task {place}", daemon=True).start()
            return
        ctx.is_async = True
        cancel = self._runtime.run_async(lambda: work(place, ctx))
        with self._changed:
            self._cancels[place] = cancel

    def _leave(self, place: int) -> None:
        with self._changed:
            self._contexts.pop(place, None)
            self._cancels.pop(place, None)
            self._changed.notify_all()

    def _goes_on(self, place: int, ctx: Context) -> bool:
        with self._changed:
            return not self._is_closing and place < self._width and not ctx.cancelled

    # The author's own loop.

    def _run(self, place: int, ctx: Context) -> None:
        assert self._opts.run is not None
        try:
            self._opts.run(ctx)
        except BaseException as error:
            self._note_run(ctx, error)
        finally:
            self._leave(place)

    async def _run_async(self, place: int, ctx: Context) -> None:
        assert self._opts.run is not None
        try:
            await self._opts.run(ctx)
        except BaseException as error:
            self._note_run(ctx, error)
        finally:
            self._leave(place)

    def _note_run(self, ctx: Context, error: BaseException) -> None:
        if not ctx.cancelled:
            self._log_failure("the function that runs tasks has ended", error)
        for task in self._book.open():  # nobody will say how they went
            task.lose(CallFailed("what ran tasks has ended", name="rpc.internal"))

    # One worker.

    def _work(self, place: int, ctx: Context) -> None:
        pause = _FIRST_PAUSE_S
        try:
            while self._goes_on(place, ctx):
                try:
                    task = self._intake.take(ctx)
                except CallError as error:
                    if self._is_hopeless(error) or ctx.cancelled.wait(pause):
                        return
                    pause = min(pause * 2, _LONGEST_PAUSE_S)
                    continue
                pause = _FIRST_PAUSE_S
                self._perform(ctx, task)
                ctx.task = None
        finally:
            self._leave(place)

    async def _work_async(self, place: int, ctx: Context) -> None:
        import asyncio

        pause = _FIRST_PAUSE_S
        try:
            while self._goes_on(place, ctx):
                try:
                    task = await self._intake.take_async(ctx)
                except CallError as error:
                    if self._is_hopeless(error) or ctx.cancelled:
                        return
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE_S)
                    continue
                pause = _FIRST_PAUSE_S
                await self._perform_async(ctx, task)
                ctx.task = None
        finally:
            self._leave(place)

    def _is_hopeless(self, error: CallError) -> bool:
        """Whether asking again is of no use; else the host's refusal is logged."""
        if isinstance(error, CallCancelled) or error.name == "command.connection":
            return True
        if error.name in ("rpc.method_not_found", "metadata.no_such_end_point"):
            self._runtime.log("info", "metadata", f"the host has no tasks: {error}", {})
            return True
        self._runtime.log("warning", "metadata", f"no task can be had: {error}", {})
        return False

    def _perform(self, ctx: Context, task: Task) -> None:
        assert self._opts.on_task is not None
        try:
            outcome = outcome_of(self._opts.on_task(ctx, task))
        except BaseException as error:
            outcome = self._outcome_of_error(task, error)
        if not task.is_over:
            try:
                outcome.report(task)
            except Exception as error:
                self._log_lost(task, error)

    async def _perform_async(self, ctx: Context, task: Task) -> None:
        assert self._opts.on_task is not None
        try:
            outcome = outcome_of(await self._opts.on_task(ctx, task))
        except BaseException as error:
            outcome = self._outcome_of_error(task, error)
        if not task.is_over:
            try:
                await outcome.report(task)
            except Exception as error:
                self._log_lost(task, error)

    def _outcome_of_error(self, task: Task, error: BaseException) -> Outcome:
        if isinstance(error, (CallError, OSError)) or task.killed or self._is_closing:
            self._runtime.log("info", "metadata", f"task {task.id} failed: {error}", {})
        else:
            self._log_failure(f"what runs task {task.id} failed", error)
        return Outcome.of_error(error, task.killed.reason or (_STOPPING if self._is_closing else None))

    def _log_failure(self, what: str, error: BaseException) -> None:
        import traceback

        text = "".join(traceback.format_exception(error))
        self._runtime.log("error", "metadata", f"{what}: {type(error).__name__}\n{text}", {})

    def _log_lost(self, task: Task, error: Exception) -> None:
        if not self._is_closing:
            text = f"the result of task {task.id} could not be reported: {error}"
            self._runtime.log("warning", "metadata", text, {})
