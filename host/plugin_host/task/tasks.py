"""The tasks of a host: giving them to plugins and to others, and finding those that there are.

Owns which tasks there are. Invariant: an id is one task's until that is closed.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

from plugin_host.errors import ResourceConflict, TaskNotFound

from .order import make_order
from .task import Task

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from plugin_host.event import HostEvent
    from plugin_host.supervisor import Supervisor
    from plugin_host_sdk.types.task import TaskOrder

__all__ = ["Tasks"]


class Tasks:
    """`PluginHost.tasks`."""

    def __init__(self, find: Callable[[str], Supervisor], emit: Callable[[HostEvent], None]) -> None:
        self._find = find
        self._emit = emit
        self._tasks: dict[str, Task] = {}

    def __repr__(self) -> str:
        return f"<Tasks {len(self._tasks)}>"

    async def run(
        self,
        plugin: str,
        command: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        tty: bool = True,
        timeout: float | None = None,
        labels: Mapping[str, str] | None = None,
        rows: int | None = None,
        cols: int | None = None,
        id: str | None = None,
    ) -> Task:
        """Give a plugin a task. Returns as soon as the plugin is ready; it takes the task when it asks.

        `command` is a list of words, which the plugin adds to what it runs everything with; `env` is added
        to its environment and wins over it. `timeout` (seconds, from the start of what runs, or from when
        it was taken as long as its worker does not speak of a start) kills it. `id` is chosen when none is
        given. A plugin that is not ready yet is waited for, a lazy one started.
        The task is kept, and its plugin not stopped for being idle, until `Task.close`.

        Raises PluginNotFound, PluginNotReady, InvalidPayload, ResourceConflict for an id that is taken,
        NoSuchEndPoint for a plugin that takes no tasks, CallFailed named `rpc.busy` when too many wait.
        """
        order = make_order(
            command,
            id=id,
            timeout=timeout,
            env=env,
            cwd=cwd,
            tty=tty,
            labels=labels,
            rows=rows,
            cols=cols,
        )
        supervisor = self._find(plugin)
        self._check_free(order)
        link, _ = await supervisor.admit(None, fail_fast=False)
        tasks = supervisor.tasks_of(link)
        tasks.check(order)
        task = self._add(order, plugin)
        tasks.put(task)
        return task

    def offer(
        self,
        command: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        tty: bool = True,
        timeout: float | None = None,
        labels: Mapping[str, str] | None = None,
        rows: int | None = None,
        cols: int | None = None,
        id: str | None = None,
    ) -> Task:
        """A task for a worker that is no plugin, which takes it by `Task.claim`; arguments as of `run`.

        Raises InvalidPayload, ResourceConflict for an id that is taken.
        """
        order = make_order(
            command,
            id=id,
            timeout=timeout,
            env=env,
            cwd=cwd,
            tty=tty,
            labels=labels,
            rows=rows,
            cols=cols,
        )
        return self._add(order, "")

    def list(self) -> builtins.list[Task]:
        """Every task that is not closed, the oldest first."""
        return builtins.list(self._tasks.values())

    def get(self, id: str) -> Task:
        """The task of that id. Raises TaskNotFound."""
        task = self._tasks.get(id)
        if task is None:
            raise TaskNotFound(f"there is no task {id!r}, or no longer", task=id)
        return task

    def close(self) -> None:
        """The host is closed: what no plugin had is lost, too."""
        for task in self.list():
            task.lose("the host was closed")

    def _add(self, order: TaskOrder, plugin: str) -> Task:
        self._check_free(order)
        task = Task(order, plugin, emit=self._emit, forget=self._drop)
        self._tasks[task.id] = task
        return task

    def _check_free(self, order: TaskOrder) -> None:
        if order.task in self._tasks:
            raise ResourceConflict(f"there is a task {order.task!r} already")

    def _drop(self, task: Task) -> None:
        self._tasks.pop(task.id, None)
