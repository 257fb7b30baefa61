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
    from plugin_host_sdk.types.task import TaskOrder

__all__ = ["Tasks"]


class Tasks:
    """`PluginHost.tasks`."""

    def __init__(self, emit: Callable[[HostEvent], None]) -> None:
        self._emit = emit
        self._tasks: dict[str, Task] = {}

    def __repr__(self) -> str:
        return f"<Tasks {len(self._tasks)}>"

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
