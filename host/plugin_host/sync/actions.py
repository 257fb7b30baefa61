"""Actions, for threads: starting them, reading what they put out, waiting for their end."""

from __future__ import annotations

import asyncio
import builtins
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from plugin_host.errors import CallTimeout

from .iteration import Iteration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from plugin_host.action import actions, reader, run
    from plugin_host.action.info import ActionInfo
    from plugin_host.action.source import Data
    from plugin_host.exec.viewer import Output
    from plugin_host_sdk.types.action import Request

    from .loopthread import LoopThread

__all__ = ["ActionOutput", "ActionRun", "Actions"]


class Actions:
    """See `plugin_host.PluginHost.actions`."""

    def __init__(self, thread: LoopThread, actions: actions.Actions) -> None:
        self._thread = thread
        self._actions = actions

    def __repr__(self) -> str:
        return repr(self._actions)

    def trigger(
        self,
        plugin: str,
        request: Request,
        data: Data | None = None,
        *,
        id: str | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
        fail_fast: bool = False,
    ) -> ActionRun:
        """Have a plugin do something; see `plugin_host.Actions.trigger` for arguments and errors.

        A plain iterator of data is asked on threads, and `on_progress` called on the host's own.
        """
        triggering = self._actions.trigger(
            plugin, request, data, id=id, on_progress=on_progress, fail_fast=fail_fast
        )
        return ActionRun(self._thread, self._thread.run(triggering))

    def kinds(self, plugin: str) -> builtins.list[str]:
        """The kinds of actions that a plugin has. Raises as `trigger`."""
        return self._thread.run(self._actions.kinds(plugin))

    def list(self) -> builtins.list[ActionRun]:
        """Those that run and the newest that have ended, the oldest first."""
        return [ActionRun(self._thread, one) for one in self._thread.run(self._list())]

    async def _list(self) -> builtins.list[run.ActionRun]:
        return self._actions.list()

    def get(self, id: str) -> ActionRun:
        """The action of that id. Raises ActionNotFound."""
        return ActionRun(self._thread, self._thread.run(self._get(id)))

    async def _get(self, id: str) -> run.ActionRun:
        return self._actions.get(id)


class ActionRun:
    """An action; made by `PluginHost.actions`. See `plugin_host.ActionRun`."""

    def __init__(self, thread: LoopThread, run: run.ActionRun) -> None:
        self._thread = thread
        self._run = run
        self._outputs: WeakSet[ActionOutput] = WeakSet()

    def __repr__(self) -> str:
        return repr(self._run)

    @property
    def id(self) -> str:
        """Its id."""
        return self._run.id

    @property
    def plugin(self) -> str:
        """The id of the plugin that does it."""
        return self._run.plugin

    @property
    def kind(self) -> str:
        """What it is to do."""
        return self._run.kind

    @property
    def started_at(self) -> float:
        """When it was triggered, in seconds since the epoch."""
        return self._run.started_at

    @property
    def last_sign(self) -> float:
        """When something was last heard of it, in seconds since the epoch."""
        return self._run.last_sign

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or was lost with its plugin."""
        return self._run.is_over

    @property
    def succeeded(self) -> bool:
        """Whether it has ended, and well; a script with status 0."""
        return self._run.succeeded

    @property
    def progress(self) -> tuple[int, int | None]:
        """How many bytes of its data were sent, and of how many, as far as that is known."""
        return self._run.progress

    @property
    def totals(self) -> Mapping[str, int]:
        """How many bytes of each output have arrived."""
        return self._run.totals

    @property
    def info(self) -> ActionInfo:
        """The action at this moment."""
        return self._run.info

    def output(self, *, since: Mapping[str, int] | None = None, lossless: bool = True) -> ActionOutput:
        """What it puts out, from the oldest byte that is kept; see `plugin_host.ActionRun.output`."""
        output = ActionOutput(self._thread, self._thread.run(self._open(since, lossless)))
        self._outputs.add(output)
        return output

    async def _open(self, since: Mapping[str, int] | None, lossless: bool) -> reader.ActionOutput:
        return self._run.output(since=since, lossless=lossless)

    def result(self, *, timeout: float | None = None) -> Any:
        """How it ended; does not wait for readers. See `plugin_host.ActionRun.result`.

        `timeout` is in seconds; when it has passed, CallTimeout is raised and the action runs on.
        """
        me = threading.get_ident()
        for output in builtins.list(self._outputs):
            if output.thread == me:  # it cannot read while it waits here
                output.release()
        return self._thread.run(self._result(timeout))

    async def _result(self, timeout: float | None) -> Any:
        if timeout is None or self._run.is_over:
            return await self._run.result()
        waiting = asyncio.ensure_future(self._run.result())
        await asyncio.wait((waiting,), timeout=timeout)
        if not waiting.done():
            waiting.cancel()
            text = f"action {self.id} of {self.plugin} has not ended within {timeout:g} s"
            raise CallTimeout(text, name="command.timeout")
        return waiting.result()

    def cancel(self, reason: str = "", *, grace: float = 2.0) -> str:
        """Ask it to end; "cancelling" or "not_running". See `plugin_host.ActionRun.cancel`."""
        return self._thread.run(self._run.cancel(reason, grace=grace))


class ActionOutput:
    """Iterate over it for `Output`; made by `ActionRun.output`. See `plugin_host.action.ActionOutput`."""

    def __init__(self, thread: LoopThread, reader: reader.ActionOutput) -> None:
        self.thread = threading.get_ident()  # who read last
        self._thread = thread
        self._reader = reader
        self._iteration = Iteration(thread, reader.__aiter__(), repr(reader))

    def __repr__(self) -> str:
        return repr(self._reader)

    def __iter__(self) -> Iterator[Output]:
        return self

    def __next__(self) -> Output:
        self.thread = threading.get_ident()
        return self._iteration.next()

    def release(self) -> None:
        """It is not waited for until it is asked for more."""
        self._thread.run(self._release())

    async def _release(self) -> None:
        self._reader.release()

    def close(self) -> None:
        """Read no more; the action runs on. Idempotent."""
        self._thread.run(self._reader.close())

    def __enter__(self) -> ActionOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
