"""The host of a plugin that takes tasks, as a test plays it, without a process and without a wire.

Gives tasks, keeps their logs and results, and asks for what they made. The plugin's own threads, programs
and files are real. Every wait has a deadline and raises TimeoutError with what there was instead.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import TYPE_CHECKING

from plugin_host_sdk.context import Context
from plugin_host_sdk.errors import CallError, CallFailed, UnknownActionId
from plugin_host_sdk.later import Later

from .giventask import GivenTask
from .sink import RecordingSink

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from types import TracebackType
    from typing import Any

    from plugin_host_sdk.later import Listener
    from plugin_host_sdk.plugin import Plugin

__all__ = ["TaskHost"]

_GRACE_S = 2.0


class TaskHost:
    """Serves `plugin`, which has the metadata capability, inside `with`.

    `settings` are an operator's. `sink` has the streams, `logged` the log records as (level, message).
    """

    def __init__(self, plugin: Plugin, settings: Mapping[str, Any] | None = None) -> None:
        self.plugin = plugin
        self.plugin_id = plugin.id
        self.settings: Mapping[str, Any] = settings or {}
        self.capabilities = plugin.capabilities
        self.sink = RecordingSink()
        self.logged: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._streams = itertools.count(2, 2)
        self._tasks: dict[str, GivenTask] = {}
        self._waiting: list[GivenTask] = []
        self._asking: list[tuple[int, Later]] = []

    def __repr__(self) -> str:
        return f"TaskHost({self.plugin_id!r}, tasks={len(self._tasks)}, asked={len(self._asking)})"

    def __enter__(self) -> TaskHost:
        for capability in self.capabilities.values():
            capability.open(self)
        for capability in self.capabilities.values():
            ready = getattr(capability, "ready", None)
            if ready is not None:
                ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for capability in self.capabilities.values():
            capability.close(_GRACE_S)

    def give(
        self,
        command: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        tty: bool = False,
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
        window: int = 2**30,
        id: str | None = None,
    ) -> GivenTask:
        """A task for whoever asks first. `window` is what the host takes of its log until the test gives
        more by `sink.credit`."""
        order = {
            "task": id or f"task-{next(self._numbers)}",
            "command": list(command),
            "env": dict(env or {}),
            "cwd": cwd,
            "tty": tty,
            "labels": dict(labels or {}),
            "timeout_ms": None if timeout is None else timeout * 1000,
            "log_window": window,
        }
        task = GivenTask(self, order)
        with self._lock:
            self._tasks[task.id] = task
            self._waiting.append(task)
        self._deal()
        return task

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """Ask the plugin, as a host does. Raises CallError."""
        for capability in self.capabilities.values():
            resolver = capability.routes.get(method)
            if resolver is not None:
                endpoint, arguments = resolver(params)
                ctx = self.context(method)
                ctx.begin(self.settings)
                ctx.is_async = endpoint.is_async
                result = endpoint.run(ctx, arguments)
                if endpoint.is_async:
                    result = asyncio.run(result)
                return result.wait(_GRACE_S * 2) if isinstance(result, Later) else result
        raise CallFailed(f"{self.plugin_id} has no method {method}", name="rpc.method_not_found")

    def new_stream(self) -> int:
        """A number for a stream that the host names."""
        return next(self._streams)

    # The runtime that capabilities and contexts see.

    def context(self, name: str) -> Context:
        return Context(self, name)

    def step_aside(self) -> None:
        pass  # no thread reads

    def drain(self) -> None:
        pass  # the sink takes everything at once

    def leave(self, reason: str) -> None:
        pass  # there is no process to end

    def adopt(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def log(self, level: str, logger: str, message: str, fields: Mapping[str, Any]) -> None:
        self.logged.append((level, message))

    def progress(self, msgid: int, done: float, total: float | None, message: str) -> None:
        pass  # nobody asked

    def run_async(self, make: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Each coroutine has a thread and a loop of its own."""
        loop = asyncio.new_event_loop()
        work = loop.create_task(make())

        def live() -> None:
            try:
                loop.run_until_complete(asyncio.wait([work]))
            finally:
                loop.close()

        def cancel() -> None:
            try:
                loop.call_soon_threadsafe(work.cancel)
            except RuntimeError:
                pass  # it is done

        threading.Thread(target=live, name="coroutine", daemon=True).start()
        return cancel

    def call_host(self, ctx: Context, method: str, params: dict[str, Any]) -> Any:
        answer = Later()
        try:
            answer.resolve(self._hear(method, params))
        except CallError as error:
            answer.fail(error)
        return answer if ctx.awaits else answer.wait()

    def start_call(
        self, ctx: Context, method: str, params: dict[str, Any], answered: Listener
    ) -> Callable[[CallError], None]:
        answer = Later()
        answer.then(answered)

        def drop(error: CallError) -> None:
            with self._lock:
                self._asking = [asked for asked in self._asking if asked[1] is not answer]
            answer.fail(error)

        if method != "metadata.execute":
            answer.fail(CallFailed(f"a test's host has no {method}", name="rpc.method_not_found"))
        else:
            with self._lock:
                self._asking.append((params["log"], answer))
            self._deal()
        return drop

    def _hear(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        task = self._tasks.get(params.get("task", ""))
        if task is None:
            raise UnknownActionId(f"there is no task {params.get('task')!r}")
        if method == "metadata.start":
            return task.start()
        return task.conclude(method, params)

    def _deal(self) -> None:
        """Give tasks that wait to those who ask."""
        while True:
            with self._lock:
                if not self._waiting or not self._asking:
                    return
                task, (stream, answer) = self._waiting.pop(0), self._asking.pop(0)
                task.stream = stream  # what it says next may come before the next line
            answer.resolve(task.order)
            task.note_taken()
