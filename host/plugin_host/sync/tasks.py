"""The tasks of a host, for threads."""

from __future__ import annotations

import builtins
import threading
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from .task import Task

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from plugin_host.exec import session
    from plugin_host.task import task, tasks

    from .loopthread import LoopThread
    from .session import Session

__all__ = ["Tasks"]


class Tasks:
    """See `plugin_host.PluginHost.tasks`."""

    def __init__(
        self, thread: LoopThread, tasks: tasks.Tasks, make_session: Callable[[session.Session], Session]
    ) -> None:
        self._thread = thread
        self._tasks = tasks
        self._make_session = make_session
        self._lock = threading.Lock()
        self._known: WeakValueDictionary[int, Task] = WeakValueDictionary()

    def __repr__(self) -> str:
        return repr(self._tasks)

    def run(
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
        """Give a plugin a task; see `plugin_host.Tasks.run` for arguments and errors.

        Returns as soon as the plugin is ready; the plugin takes the task when it asks for one.
        """
        running = self._tasks.run(
            plugin,
            command,
            env=env,
            cwd=cwd,
            tty=tty,
            timeout=timeout,
            labels=labels,
            rows=rows,
            cols=cols,
            id=id,
        )
        return self._task(self._thread.run(running))

    def list(self) -> builtins.list[Task]:
        """Every task that is not closed, the oldest first."""
        return [self._task(one) for one in self._thread.run(self._list())]

    async def _list(self) -> builtins.list[task.Task]:
        return self._tasks.list()

    def get(self, id: str) -> Task:
        """The task of that id. Raises TaskNotFound."""
        return self._task(self._thread.run(self._get(id)))

    async def _get(self, id: str) -> task.Task:
        return self._tasks.get(id)

    def _task(self, held: task.Task) -> Task:
        """The one object for a task."""
        with self._lock:
            known = self._known.get(id(held))
            if known is None:
                known = self._known[id(held)] = Task(self._thread, held, self._make_session)
            return known
